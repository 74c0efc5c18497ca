use std::sync::Arc;

use plugin_api::{WriteError, Writer};
use schema::Record;
use serde_json::{Value, json};
use stdx::SystemClock;
use store::{Repository, Store};
use store_declarative::DeclarativeStore;
use store_sqlite::SqliteStore;
use uuid::Uuid;

use super::StoreWriter;
use crate::stores::DeclaredEntities;

/// A writer over a store.
fn writer(store: Arc<dyn Store>) -> StoreWriter {
    let declared = DeclaredEntities::default();
    let clock = Arc::new(SystemClock);
    let writer = StoreWriter::new(Arc::default());
    writer.open(Repository::new(
        store,
        declared.catalog(),
        clock,
        Arc::new(declared),
    ));
    writer
}

fn sqlite(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let catalog = DeclaredEntities::default().catalog();
    let store = SqliteStore::open(&folder.path().join("db"), catalog, Default::default());
    Arc::new(store.unwrap())
}

fn record(value: Value) -> Record {
    value.as_object().cloned().unwrap()
}

fn id_of(record: &Record) -> Uuid {
    record["id"].as_str().unwrap().parse().unwrap()
}

fn session(name: &str) -> Record {
    record(json!({ "session_id": name, "data": "d", "ttl": 60 }))
}

#[tokio::test]
async fn what_is_written_gets_defaults_a_time_to_live_and_a_place_in_the_change_feed() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder);
    let before = store.version().await.unwrap();
    let writer = writer(store.clone());
    let stored = writer.insert("sessions", session("a")).await.unwrap();
    assert!(stored["created_at"].is_number());
    let changes = record(json!({ "data": "e", "ttl": 5 }));
    let changed = writer.update("sessions", id_of(&stored), changes).await;
    let changed = changed.unwrap();
    assert_eq!(
        (&changed["session_id"], &changed["data"], &changed["ttl"]),
        (&json!("a"), &json!("e"), &json!(5))
    );
    assert_ne!(store.version().await.unwrap(), before);
}

#[tokio::test]
async fn refuses_what_the_admin_api_would_refuse_and_what_is_not_of_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(sqlite(&folder));
    writer.insert("sessions", session("a")).await.unwrap();
    let taken = writer.insert("sessions", session("a")).await;
    assert!(matches!(taken, Err(WriteError::Taken(_))), "{taken:?}");
    let nameless = writer.insert("sessions", record(json!({}))).await;
    assert!(
        matches!(nameless, Err(WriteError::Refused(_))),
        "{nameless:?}"
    );
    let consumer = record(json!({ "username": "mallory" }));
    let foreign = writer.insert("consumers", consumer).await;
    assert!(
        matches!(foreign, Err(WriteError::Refused(_))),
        "{foreign:?}"
    );
    let gone = writer.update("sessions", Uuid::from_u128(1), session("b"));
    assert_eq!(gone.await, Err(WriteError::NotFound));
}

#[tokio::test]
async fn of_many_who_delete_a_record_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(writer(sqlite(&folder)));
    let stored = writer.insert("sessions", session("a")).await.unwrap();
    let id = id_of(&stored);
    let takers: Vec<_> = (0..16)
        .map(|_| tokio::spawn(writer.delete("sessions", id)))
        .collect();
    let mut got = 0;
    for taker in takers {
        got += usize::from(taker.await.unwrap().unwrap().is_some());
    }
    assert_eq!(got, 1);
}

#[tokio::test]
async fn without_a_database_or_before_there_is_a_store_nothing_is_written() {
    let closed = StoreWriter::new(Arc::default());
    let early = closed.insert("sessions", session("a")).await;
    assert!(
        matches!(early, Err(WriteError::Unavailable(_))),
        "{early:?}"
    );
    let catalog = DeclaredEntities::default().catalog();
    let store = DeclarativeStore::new(catalog, Arc::new(SystemClock), 16).unwrap();
    let refused = writer(Arc::new(store))
        .insert("sessions", session("a"))
        .await;
    assert!(
        matches!(refused, Err(WriteError::ReadOnly(_))),
        "{refused:?}"
    );
}
