//! A node's copy of the shared store: reads as any store, survives crashes, never trusts a damaged file.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;
use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use stdx::{Clock, ManualClock, SystemClock};
use store::contract::{Setup, Subject};
use store::replica::{Change, Place, Replica as _};
use store::{Catalog, Digest, Error, Key, PageRequest, Store, TagFilter, Version};
use store_sqlite::Replica;
use tempfile::TempDir;
use uuid::Uuid;

static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let mut tokens = Schema::new("tokens", "Expire.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique());
    tokens.ttl = true;
    vec![things(), tokens]
});

/// What a newer program declares.
static MORE: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let parts = Schema::new("parts", "Came later.").field_as("id", Field::id());
    let things = things().field_as("colour", Field::string("Came later."));
    vec![things, parts]
});

fn things() -> Schema {
    let tags = Field::set("Tags.", Field::string("A tag."));
    Schema::new("things", "Things.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A name.").unique())
        .field_as("owner", Field::foreign_to("Whose it is.", "things"))
        .field_as("tags", tags)
}

const ORIGIN: &str = "db.example/kong";

fn open(path: &Path) -> Replica {
    open_as(path, ORIGIN, Arc::new(SystemClock))
}

fn open_as(path: &Path, origin: &str, clock: Arc<dyn Clock>) -> Replica {
    Replica::open(path, &Catalog::new(&SCHEMAS), clock, origin).unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    (folder, path)
}

fn schema(name: &str) -> &'static Schema {
    SCHEMAS.iter().find(|schema| schema.name == name).unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn thing(number: u128, fields: Value) -> Change {
    change("things", number, fields)
}

fn change(entity: &str, number: u128, fields: Value) -> Change {
    let Value::Object(mut record) = fields else {
        panic!("a record is an object");
    };
    record.insert("id".to_owned(), id(number).to_string().into());
    Change {
        schema: schema(entity),
        id: id(number),
        record: Some(record),
    }
}

fn gone(number: u128) -> Change {
    Change {
        schema: schema("things"),
        id: id(number),
        record: None,
    }
}

fn at(version: u64) -> Place {
    Place {
        version: Version(version),
        mark: Some(1000 + i64::try_from(version).unwrap()),
    }
}

async fn name_of(replica: &Replica, number: u128) -> Option<String> {
    let found = replica.get(schema("things"), Key::Id(id(number))).await;
    let record: Option<Record> = found.unwrap();
    record.map(|record| record["name"].as_str().unwrap().to_owned())
}

async fn digest(replica: &Replica, entity: &str) -> Digest {
    let (_, digests) = replica.digests(&[schema(entity)]).await.unwrap();
    digests[entity]
}

/// Replicas in files that end with the test.
#[derive(Default)]
struct Files(Mutex<Vec<(TempDir, Arc<Replica>)>>);

#[async_trait]
impl Subject for Files {
    async fn open(&self, setup: Setup) -> Arc<dyn Store> {
        let (folder, path) = folder();
        let replica = Replica::open(&path, &setup.catalog, setup.clock, ORIGIN).unwrap();
        let replica = Arc::new(replica);
        self.0.lock().push((folder, Arc::clone(&replica)));
        replica
    }

    async fn fill(&self, _: &Arc<dyn Store>, records: Vec<(&'static Schema, Record)>) {
        let (_, replica) = self
            .0
            .lock()
            .last()
            .map(|(_, r)| ((), Arc::clone(r)))
            .unwrap();
        let change = |(schema, record): (&'static Schema, Record)| Change {
            schema,
            id: Uuid::parse_str(record["id"].as_str().unwrap()).unwrap(),
            record: Some(record),
        };
        let changes: Vec<_> = records.into_iter().map(change).collect();
        replica.apply(&changes, at(1)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_reads_as_every_store_does() {
    store::contract::run_reads(&Files::default()).await;
}

#[tokio::test]
async fn is_empty_at_first_and_takes_no_commits() {
    let (_folder, path) = folder();
    let replica = open(&path);
    assert_eq!(replica.place(), None);
    assert!(matches!(
        replica.version().await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        replica.commit(&[]).await,
        Err(Error::Unavailable(_))
    ));
}

#[tokio::test]
async fn is_what_it_was_after_it_is_opened_again() {
    let (_folder, path) = folder();
    let replica = open(&path);
    let changes = [
        thing(1, json!({"name": "one"})),
        thing(2, json!({"name": "two"})),
    ];
    replica.apply(&changes, at(2)).await.unwrap();
    replica.apply(&[gone(1)], at(3)).await.unwrap();
    let before = digest(&replica, "things").await;
    drop(replica);

    let replica = open(&path);
    assert_eq!(replica.place(), Some(at(3)));
    assert!(replica.is_whole() && !replica.is_moved());
    assert_eq!(name_of(&replica, 1).await, None);
    assert_eq!(name_of(&replica, 2).await.unwrap(), "two");
    assert_eq!(digest(&replica, "things").await, before);
    assert_eq!(before.count, 1);
}

#[tokio::test]
async fn names_may_be_swapped_in_any_order() {
    let (_folder, path) = folder();
    let replica = open(&path);
    let before = [
        thing(1, json!({"name": "a"})),
        thing(2, json!({"name": "b"})),
    ];
    replica.apply(&before, at(2)).await.unwrap();
    let after = [
        thing(1, json!({"name": "b"})),
        thing(2, json!({"name": "a"})),
    ];
    replica.apply(&after, at(4)).await.unwrap();
    let found = replica
        .get(schema("things"), Key::Unique("name", "a"))
        .await;
    assert_eq!(found.unwrap().unwrap()["id"], id(2).to_string());
}

#[tokio::test]
async fn lists_what_belongs_to_a_record_and_what_carries_tags() {
    let (_folder, path) = folder();
    let replica = open(&path);
    let owner = json!({"id": id(1).to_string()});
    let changes = [
        thing(1, json!({"name": "a", "tags": ["x"]})),
        thing(2, json!({"name": "b", "owner": owner, "tags": ["x", "y"]})),
        thing(3, json!({"name": "c", "owner": owner})),
    ];
    replica.apply(&changes, at(3)).await.unwrap();
    let ids = async |request: PageRequest<'_>| {
        let page = replica.page(schema("things"), &request).await.unwrap();
        let id = |record: Record| Uuid::parse_str(record["id"].as_str().unwrap()).unwrap();
        page.records.into_iter().map(id).collect::<Vec<_>>()
    };
    let of_owner = PageRequest {
        size: 10,
        foreign: Some(("owner", id(1))),
        ..PageRequest::default()
    };
    assert_eq!(ids(of_owner).await, [id(2), id(3)]);
    let tagged = |tags: TagFilter| PageRequest {
        size: 10,
        tags: Some(tags),
        ..PageRequest::default()
    };
    let both = || vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(ids(tagged(TagFilter::All(both()))).await, [id(2)]);
    assert_eq!(ids(tagged(TagFilter::Any(both()))).await, [id(1), id(2)]);

    let mut request = PageRequest {
        size: 2,
        ..PageRequest::default()
    };
    let (rows, offset) = replica.tags(None, &request).await.unwrap();
    assert_eq!(rows.len(), 2);
    request.offset = offset;
    let (rows, offset) = replica.tags(None, &request).await.unwrap();
    assert_eq!((rows.len(), rows[0].tag.as_str(), offset), (1, "y", None));
}

#[tokio::test]
async fn a_record_expires_as_in_the_shared_store() {
    let (_folder, path) = folder();
    let start = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let clock = Arc::new(ManualClock::at(start));
    let replica = open_as(&path, ORIGIN, clock.clone());
    let token = change("tokens", 1, json!({"name": "t", "ttl": 60}));
    replica.apply(&[token], at(1)).await.unwrap();
    let get = async || replica.get(schema("tokens"), Key::Id(id(1))).await.unwrap();
    clock.advance(std::time::Duration::from_secs(20));
    assert_eq!(get().await.unwrap()["ttl"], 40);
    assert_eq!(digest(&replica, "tokens").await.count, 1);
    clock.advance(std::time::Duration::from_secs(41));
    assert_eq!(get().await, None);
    assert_eq!(digest(&replica, "tokens").await, Digest::default());
    assert_eq!(
        replica.checksums(schema("tokens"), None, 10).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn checksums_are_the_digest_in_the_order_of_ids() {
    let (_folder, path) = folder();
    let replica = open(&path);
    let changes: Vec<_> = [3, 1, 2]
        .map(|number| thing(number, json!({"name": number.to_string()})))
        .into();
    replica.apply(&changes, at(3)).await.unwrap();
    let all = replica.checksums(schema("things"), None, 10).await.unwrap();
    let ids: Vec<_> = all.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
    let rest = replica.checksums(schema("things"), Some(id(1)), 1).await;
    assert_eq!(rest.unwrap(), all[1..2]);
    let sum = all
        .iter()
        .fold(0_u64, |sum, (_, one)| sum.wrapping_add(*one));
    let mut expected = Digest::default();
    for change in &changes {
        expected.add(change.record.as_ref().unwrap());
    }
    assert_eq!(digest(&replica, "things").await, expected);
    assert_eq!(sum, expected.sum);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_content_is_seen_only_when_it_is_complete() {
    let (_folder, path) = folder();
    let replica = open(&path);
    replica
        .apply(&[thing(1, json!({"name": "old"}))], at(1))
        .await
        .unwrap();
    let mut rebuild = replica.rebuild().await.unwrap();
    let new = thing(2, json!({"name": "new"})).record.unwrap();
    rebuild.take(schema("things"), vec![new]).await.unwrap();
    assert_eq!(rebuild.counts()["things"], 1);
    assert_eq!(name_of(&replica, 1).await.unwrap(), "old");
    assert_eq!(name_of(&replica, 2).await, None);
    rebuild.finish(at(9)).await.unwrap();
    assert_eq!(replica.place(), Some(at(9)));
    assert_eq!(name_of(&replica, 1).await, None);
    let found = replica
        .get(schema("things"), Key::Unique("name", "new"))
        .await;
    assert!(found.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_content_that_is_given_up_leaves_the_old_one() {
    let (_folder, path) = folder();
    let replica = open(&path);
    replica
        .apply(&[thing(1, json!({"name": "old"}))], at(1))
        .await
        .unwrap();
    let mut rebuild = replica.rebuild().await.unwrap();
    let new = thing(2, json!({"name": "new"})).record.unwrap();
    rebuild.take(schema("things"), vec![new]).await.unwrap();
    drop(rebuild);
    // A write comes after whatever is still being undone.
    replica
        .apply(&[thing(3, json!({"name": "later"}))], at(2))
        .await
        .unwrap();
    assert_eq!(name_of(&replica, 1).await.unwrap(), "old");
    assert_eq!(name_of(&replica, 2).await, None);
    drop(replica);
    assert_eq!(open(&path).place(), Some(at(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_records_are_loaded_and_checked() {
    let (_folder, path) = folder();
    let replica = open(&path);
    let mut rebuild = replica.rebuild().await.unwrap();
    for page in 0..100_u128 {
        let record = |number: u128| {
            let fields = json!({"name": format!("thing-{number}"), "tags": ["a", "b"]});
            thing(page * 1000 + number, fields).record.unwrap()
        };
        rebuild
            .take(schema("things"), (0..1000).map(record).collect())
            .await
            .unwrap();
    }
    rebuild.finish(at(7)).await.unwrap();
    drop(replica);
    let replica = open(&path);
    assert_eq!(replica.place(), Some(at(7)));
    assert_eq!(replica.counts().await.unwrap()["things"], 100_000);
}

#[tokio::test]
async fn a_file_of_another_database_is_kept_and_said_to_be_so() {
    let (_folder, path) = folder();
    let replica = open(&path);
    replica
        .apply(&[thing(1, json!({"name": "a"}))], at(1))
        .await
        .unwrap();
    drop(replica);
    let replica = open_as(&path, "elsewhere/kong", Arc::new(SystemClock));
    assert!(replica.is_moved());
    assert_eq!(name_of(&replica, 1).await.unwrap(), "a");
}

#[tokio::test]
async fn a_newer_program_goes_on_with_the_file_and_knows_what_it_lacks() {
    let (_folder, path) = folder();
    let replica = open(&path);
    replica
        .apply(&[thing(1, json!({"name": "a"}))], at(1))
        .await
        .unwrap();
    drop(replica);
    let catalog = Catalog::new(&MORE);
    let replica = Replica::open(&path, &catalog, Arc::new(SystemClock), ORIGIN).unwrap();
    assert!(!replica.is_whole());
    let found = replica.get(schema("things"), Key::Id(id(1))).await;
    assert_eq!(found.unwrap().unwrap()["colour"], Value::Null);
}

/// Fills a file, lets `damage` at it, and expects it to be put aside.
async fn is_put_aside_after(damage: impl FnOnce(&Path)) {
    let (folder, path) = folder();
    let replica = open(&path);
    let named = |number: u128| thing(number, json!({"name": format!("thing {number}")}));
    let changes: Vec<_> = (1..100).map(named).collect();
    replica.apply(&changes, at(1)).await.unwrap();
    drop(replica);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(connection);
    damage(&path);
    let replica = open(&path);
    assert_eq!(replica.place(), None);
    assert_eq!(name_of(&replica, 1).await, None);
    assert!(folder.path().join("replica.db.damaged").exists());
    replica.apply(&changes, at(2)).await.unwrap();
    assert_eq!(name_of(&replica, 1).await.unwrap(), "thing 1");
}

fn with(sql: &'static str) -> impl FnOnce(&Path) {
    move |path| {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn a_record_that_was_edited_is_noticed() {
    is_put_aside_after(with(
        "UPDATE things SET body = replace(body, 'thing 7', 'thing 8')",
    ))
    .await;
}

#[tokio::test]
async fn a_record_that_is_missing_is_noticed() {
    is_put_aside_after(with("DELETE FROM things WHERE id LIKE '%07'")).await;
}

#[tokio::test]
async fn a_place_that_was_edited_is_noticed() {
    is_put_aside_after(with("UPDATE replica SET version = 99")).await;
}

#[tokio::test]
async fn a_layout_of_another_program_is_noticed() {
    is_put_aside_after(with("UPDATE replica SET layout = 99")).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_noticed() {
    is_put_aside_after(|path| std::fs::write(path, [b'x'; 5000]).unwrap()).await;
}

#[tokio::test]
async fn a_database_of_something_else_is_noticed() {
    is_put_aside_after(with("PRAGMA application_id = 7")).await;
}

#[tokio::test]
async fn a_flipped_byte_is_noticed() {
    is_put_aside_after(|path| {
        let mut bytes = std::fs::read(path).unwrap();
        let place = bytes
            .windows(8)
            .rposition(|window| window == b"thing 42")
            .unwrap();
        bytes[place + 6] ^= 1;
        std::fs::write(path, bytes).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_noticed() {
    is_put_aside_after(|path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
}
