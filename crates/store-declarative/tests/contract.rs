//! The store of `database = off` passes the reading half of the contract, and has rules of its own for writing.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use stdx::SystemClock;
use store::contract::{Setup, Subject};
use store::{Catalog, Changes, Error, EventKind, Key, Mutation, Store, Version};
use store_declarative::DeclarativeStore;
use uuid::Uuid;

/// Remembers the stores it opened, to fill them other than by commits.
#[derive(Default)]
struct Memory(Mutex<Vec<Arc<DeclarativeStore>>>);

#[async_trait]
impl Subject for Memory {
    async fn open(&self, setup: Setup) -> Arc<dyn Store> {
        let limit = usize::try_from(setup.change_log).unwrap();
        let store = Arc::new(DeclarativeStore::new(setup.catalog, setup.clock, limit).unwrap());
        self.0.lock().push(Arc::clone(&store));
        store
    }

    async fn fill(&self, _: &Arc<dyn Store>, records: Vec<(&'static Schema, Record)>) {
        let records = records
            .into_iter()
            .map(|(schema, record)| (schema.name, record));
        let opened = self.0.lock().last().cloned().unwrap();
        opened.replace_all(records).unwrap();
    }
}

#[tokio::test]
async fn passes_the_reading_half_of_the_contract() {
    store::contract::run_reads(&Memory::default()).await;
}

fn schemas() -> &'static [Schema] {
    static SCHEMAS: std::sync::LazyLock<Vec<Schema>> = std::sync::LazyLock::new(|| {
        let mut dependents = Schema::new("dependents", "Points at a parent.")
            .field_as("id", Field::id())
            .field_as("kind", Field::string("A kind."))
            .field_as("parent", Field::foreign_to("The parent.", "parents"));
        dependents.cache_key = &["parent", "kind"];
        let parents = Schema::new("parents", "Has a name.")
            .field_as("id", Field::id())
            .field_as("name", Field::string("A name.").unique())
            .field_as("created_at", Field::auto_timestamp("When it was made."));
        vec![dependents, parents]
    });
    &SCHEMAS
}

fn open() -> DeclarativeStore {
    DeclarativeStore::new(Catalog::new(schemas()), Arc::new(SystemClock), 100).unwrap()
}

fn record(id: u128, fields: Value) -> Record {
    let mut record = fields.as_object().unwrap().clone();
    record.insert("id".to_owned(), Uuid::from_u128(id).to_string().into());
    record
}

fn events(changes: Changes) -> Vec<(String, u128, EventKind)> {
    match changes {
        Changes::Events { events, .. } => events
            .into_iter()
            .map(|event| (event.entity, event.id.as_u128(), event.operation))
            .collect(),
        Changes::Reload { .. } => Vec::new(),
    }
}

#[tokio::test]
async fn a_replacement_tells_only_what_differs() {
    let store = open();
    let parent = |id, name: &str, at: i64| {
        (
            "parents",
            record(id, json!({"name": name, "created_at": at})),
        )
    };
    let dependent = (
        "dependents",
        record(9, json!({"parent": {"id": Uuid::from_u128(2).to_string()}})),
    );
    let first = store
        .replace_all(vec![
            dependent,
            parent(1, "kept", 1),
            parent(2, "gone", 1),
            parent(3, "old", 1),
        ])
        .unwrap();
    let told = events(store.changes(Version(0)).await.unwrap());
    let entities: Vec<_> = told.iter().map(|(entity, _, _)| entity.as_str()).collect();
    assert_eq!(entities, ["parents", "parents", "parents", "dependents"]);

    store
        .replace_all(vec![
            parent(1, "kept", 2),
            parent(3, "new", 2),
            parent(4, "more", 2),
        ])
        .unwrap();
    let told = events(store.changes(first).await.unwrap());
    let said = |entity: &str, id, operation| (entity.to_owned(), id, operation);
    assert_eq!(
        told,
        [
            said("parents", 3, EventKind::Update),
            said("parents", 4, EventKind::Create),
            said("dependents", 9, EventKind::Delete),
            said("parents", 2, EventKind::Delete),
        ]
    );
}

#[tokio::test]
async fn of_more_changes_at_once_than_it_keeps_the_log_keeps_none() {
    let store = open();
    let named = |id: u128| ("parents", record(id, json!({"name": id.to_string()})));
    let before = store.version().await.unwrap();
    let many = store.replace_all((1..=101).map(named)).unwrap();
    assert_eq!(many.0, before.0 + 101);
    let reload = store.changes(before).await.unwrap();
    assert!(matches!(reload, Changes::Reload { from } if from == many));
    assert_eq!(events(store.changes(many).await.unwrap()), []);

    store.replace_all((1..=102).map(named)).unwrap();
    let told = events(store.changes(many).await.unwrap());
    assert_eq!(told, [("parents".to_owned(), 102, EventKind::Create)]);
    let reload = store.changes(before).await.unwrap();
    assert!(matches!(reload, Changes::Reload { .. }));
}

#[tokio::test]
async fn a_refused_replacement_leaves_everything_as_it_was() {
    let store = open();
    let named = |id, name: &str| ("parents", record(id, json!({"name": name})));
    let before = store.replace_all(vec![named(1, "one")]).unwrap();
    let lost = (
        "dependents",
        record(9, json!({"parent": {"id": Uuid::from_u128(8).to_string()}})),
    );
    let orphan = |id| {
        (
            "dependents",
            record(id, json!({"kind": "a", "parent": null})),
        )
    };
    let attempts = [
        store.replace_all(vec![named(2, "two"), lost]),
        store.replace_all(vec![named(2, "two"), named(3, "two")]),
        store.replace_all(vec![named(2, "two"), named(2, "three")]),
        store.replace_all(vec![orphan(4), orphan(5)]),
        store.replace_all(vec![("strangers", Record::new())]),
    ];
    assert!(matches!(
        attempts,
        [
            Err(Error::MissingReference { .. }),
            Err(Error::UniqueViolation { .. }),
            Err(Error::PrimaryKeyViolation { .. }),
            Err(Error::UniqueViolation { .. }),
            Err(Error::Database(_)),
        ]
    ));
    assert_eq!(store.version().await.unwrap(), before);
    let parents = &schemas()[1];
    let kept = store
        .get(parents, Key::Unique("name", "one"))
        .await
        .unwrap();
    assert!(kept.is_some());
}

#[tokio::test]
async fn commits_are_refused_in_kongs_words() {
    let store = open();
    let parents = &schemas()[1];
    let cases = [
        (Mutation::Insert(parents, Record::new()), "create"),
        (Mutation::Update(parents, Record::new()), "update"),
        (Mutation::Upsert(parents, Record::new()), "create or update"),
        (Mutation::Delete(parents, Uuid::nil()), "remove"),
    ];
    for (mutation, verb) in cases {
        let error = store.commit(&[mutation]).await.unwrap_err();
        let expected = format!("cannot {verb} 'parents' entities when not using a database");
        assert!(matches!(error, Error::ReadOnly(_)));
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_reader_waits_for_a_replacement() {
    let store = open();
    let start = store.version().await.unwrap();
    let replace = async {
        store
            .replace_all(vec![("parents", record(1, json!({})))])
            .unwrap()
    };
    let ((), version) = tokio::join!(store.changed(start), replace);
    assert_eq!(store.version().await.unwrap(), version);
}
