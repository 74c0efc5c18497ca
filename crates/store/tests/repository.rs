//! Entities on their way into a store: defaults, references by name, merges, concurrent changes.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use entities::{RouterFlavor, for_flavor};
use schema::{Record, Schema};
use serde_json::{Value, json};
use stdx::SystemClock;
use store::repository::Error;
use store::{Catalog, Key, Repository, Version};
use store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

fn open() -> (TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::new(entities::all());
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, catalog.clone(), Options::default()).unwrap();
    let subschemas = Arc::new(Core);
    (
        folder,
        Repository::new(Arc::new(store), catalog, Arc::new(SystemClock), subschemas),
    )
}

/// The core entities, owned.
struct Core;

impl schema::Subschemas for Core {
    fn find(&self, entity: &str, choice: &str) -> Option<&schema::Subschema> {
        for_flavor(RouterFlavor::default()).find(entity, choice)
    }

    fn entity(&self, name: &str) -> Option<&Schema> {
        entities::get(name)
    }
}

fn services() -> &'static Schema {
    entities::get("services").unwrap()
}

fn routes() -> &'static Schema {
    entities::get("routes").unwrap()
}

fn fields(value: Value) -> Record {
    value.as_object().unwrap().clone()
}

fn id_of(record: &Record) -> Uuid {
    Uuid::parse_str(record["id"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_insert_fills_in_and_validates() {
    let (_folder, repository) = open();
    let input = fields(json!({"name": "a", "url": "https://a.test/x"}));
    let (record, version) = repository.insert(services(), input).await.unwrap();
    assert_eq!(
        (&record["port"], &record["retries"]),
        (&json!(443), &json!(5))
    );
    assert_eq!(version, repository.version().await.unwrap());
    let stored = repository
        .get(services(), &Key::Unique("name", "a"))
        .await
        .unwrap();
    assert_eq!(stored, Some(record));

    let attempt = repository
        .insert(services(), fields(json!({"port": -1})))
        .await;
    let Err(Error::Schema(violations)) = attempt else {
        panic!("expected violations, got {attempt:?}");
    };
    assert_eq!(violations.fields()["host"], "required field missing");
}

#[tokio::test]
async fn references_may_go_by_name() {
    let (_folder, repository) = open();
    let (service, _) = repository
        .insert(services(), fields(json!({"name": "a", "host": "a.test"})))
        .await
        .unwrap();
    let input = fields(json!({"paths": ["/x"], "service": {"name": "a"}}));
    let (route, _) = repository.insert(routes(), input).await.unwrap();
    assert_eq!(route["service"], json!({"id": service["id"]}));

    let input = fields(json!({"paths": ["/x"], "service": {"name": "nobody"}}));
    let attempt = repository.insert(routes(), input).await;
    let Err(Error::Unresolved { message, fields }) = attempt else {
        panic!("expected an unresolved reference, got {attempt:?}");
    };
    let reason = "the foreign key cannot be resolved with '{name=\"nobody\"}' for an existing 'services' entity";
    assert_eq!(
        message,
        format!("foreign key unresolved (service.name: {reason})")
    );
    assert_eq!(Value::Object(fields), json!({"service": {"name": reason}}));
}

#[tokio::test]
async fn errors_of_the_store_are_in_kongs_words() {
    let (_folder, repository) = open();
    let service = || fields(json!({"name": "a", "host": "a.test"}));
    let (stored, _) = repository.insert(services(), service()).await.unwrap();
    let id = stored["id"].as_str().unwrap();
    let route = fields(json!({"paths": ["/x"], "service": {"id": id}}));
    repository.insert(routes(), route).await.unwrap();
    let mut same_id = fields(json!({"host": "b.test"}));
    same_id.insert("id".to_owned(), id.into());
    let nowhere = "00000000-0000-4000-8000-000000000009";
    let lost = fields(json!({"paths": ["/x"], "service": {"id": nowhere}}));
    let attempts = [
        repository.insert(services(), service()).await.unwrap_err(),
        repository.insert(services(), same_id).await.unwrap_err(),
        repository.insert(routes(), lost).await.unwrap_err(),
        repository
            .delete(services(), &Key::Unique("name", "a"))
            .await
            .unwrap_err(),
    ];
    let expected = [
        "UNIQUE violation detected on '{name=\"a\"}'".to_owned(),
        format!("primary key violation on key '{{id=\"{id}\"}}'"),
        format!(
            "the foreign key '{{id=\"{nowhere}\"}}' does not reference an existing 'services' entity."
        ),
        "an existing 'routes' entity references this 'services' entity".to_owned(),
    ];
    assert_eq!(attempts.map(|error| error.to_string()), expected);
}

#[tokio::test]
async fn an_update_merges_and_keeps_the_id() {
    let (_folder, repository) = open();
    let input = fields(json!({"name": "a", "host": "a.test", "retries": 1}));
    let (before, _) = repository.insert(services(), input).await.unwrap();
    let key = Key::Unique("name", "a");
    let changes = fields(json!({"id": Uuid::nil().to_string(), "host": "b.test"}));
    let (after, _) = repository.update(services(), &key, changes).await.unwrap();
    assert_eq!(after["id"], before["id"]);
    assert_eq!(
        (&after["host"], &after["retries"]),
        (&json!("b.test"), &json!(1))
    );

    let attempt = repository
        .update(services(), &Key::Id(Uuid::nil()), Record::new())
        .await;
    assert!(
        matches!(attempt, Err(Error::Store(store::Error::NotFound))),
        "{attempt:?}"
    );
}

#[tokio::test]
async fn an_upsert_makes_the_record_or_replaces_it_under_its_id() {
    let (_folder, repository) = open();
    let key = Key::Unique("name", "a");
    let input = fields(json!({"host": "a.test", "retries": 1}));
    let (made, _) = repository.upsert(services(), &key, input).await.unwrap();
    assert_eq!(made["name"], "a");
    let input = fields(json!({"host": "b.test", "name": "ignored"}));
    let (replaced, _) = repository.upsert(services(), &key, input).await.unwrap();
    assert_eq!(replaced["id"], made["id"]);
    assert_eq!(
        (&replaced["name"], &replaced["retries"]),
        (&json!("a"), &json!(5))
    );

    let id = Uuid::new_v4();
    let input = fields(json!({"host": "c.test"}));
    let (by_id, _) = repository
        .upsert(services(), &Key::Id(id), input)
        .await
        .unwrap();
    assert_eq!(id_of(&by_id), id);
}

#[tokio::test]
async fn ids_are_equal_in_any_case() {
    let (_folder, repository) = open();
    let input = fields(json!({"id": "ABCDEF00-0000-4000-8000-00000000000A", "host": "a.test"}));
    let (service, _) = repository.insert(services(), input).await.unwrap();
    assert_eq!(service["id"], "abcdef00-0000-4000-8000-00000000000a");
    let input =
        fields(json!({"paths": ["/x"], "service": {"id": "ABCDEF00-0000-4000-8000-00000000000A"}}));
    let (route, _) = repository.insert(routes(), input).await.unwrap();
    assert_eq!(route["service"], json!({"id": service["id"]}));
    let stored = repository
        .get(services(), &Key::Id(id_of(&service)))
        .await
        .unwrap();
    assert_eq!(stored, Some(service));
}

#[tokio::test]
async fn deleting_what_is_not_there_changes_nothing() {
    let (_folder, repository) = open();
    let before: Version = repository.version().await.unwrap();
    let after = repository
        .delete(services(), &Key::Unique("name", "nobody"))
        .await
        .unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn plans_can_be_committed_together() {
    let (_folder, repository) = open();
    let (service, first) = repository
        .plan_insert(services(), fields(json!({"name": "a", "host": "a.test"})))
        .await
        .unwrap();
    let input = fields(json!({"paths": ["/x"], "service": {"id": service["id"]}}));
    let (route, second) = repository.plan_insert(routes(), input).await.unwrap();
    repository.commit(&[first, second]).await.unwrap();
    let stored = repository
        .get(routes(), &Key::Id(id_of(&route)))
        .await
        .unwrap();
    assert_eq!(stored, Some(route));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_of_one_record_are_all_kept() {
    let (_folder, repository) = open();
    let input = fields(json!({"name": "a", "host": "a.test"}));
    repository.insert(services(), input).await.unwrap();
    let changes = [
        json!({"retries": 1}),
        json!({"port": 2}),
        json!({"path": "/3"}),
        json!({"connect_timeout": 4}),
        json!({"read_timeout": 5}),
        json!({"write_timeout": 6}),
        json!({"tags": ["7"]}),
        json!({"enabled": false}),
    ];
    let tasks = changes.clone().map(|change| {
        let repository = repository.clone();
        tokio::spawn(async move {
            let key = Key::Unique("name", "a");
            repository
                .update(services(), &key, fields(change))
                .await
                .unwrap();
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    let stored = repository
        .get(services(), &Key::Unique("name", "a"))
        .await
        .unwrap()
        .unwrap();
    for change in changes {
        for (field, value) in fields(change) {
            assert_eq!(stored[&field], value, "{field}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_upserts_of_one_name_make_one_record() {
    let (_folder, repository) = open();
    let tasks: Vec<_> = (1..=8)
        .map(|port| {
            let repository = repository.clone();
            tokio::spawn(async move {
                let input = fields(json!({"host": "a.test", "port": port}));
                let key = Key::Unique("name", "a");
                repository.upsert(services(), &key, input).await.unwrap().0
            })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap()["id"].to_string());
    }
    assert_eq!(ids.len(), 1);
}
