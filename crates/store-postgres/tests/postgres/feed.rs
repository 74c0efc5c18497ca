//! The change feed across nodes: whoever writes, however late a transaction commits, whatever gets lost.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use store::{Catalog, Changes, Error, Event, Mutation, Store, Version};
use store_postgres::{Options, PostgresStore};
use uuid::Uuid;

use crate::server::Server;

fn schemas() -> &'static [Schema] {
    static ALL: LazyLock<Vec<Schema>> = LazyLock::new(|| {
        let things = Schema::new("things", "A thing.")
            .field_as("id", Field::id())
            .field_as("name", Field::string("A name."));
        vec![things]
    });
    &ALL
}

fn thing() -> Record {
    let Value::Object(record) = json!({ "id": Uuid::new_v4().to_string(), "name": "n" }) else {
        panic!("an object is an object");
    };
    record
}

fn id_of(record: &Record) -> Uuid {
    Uuid::parse_str(record["id"].as_str().unwrap()).unwrap()
}

fn open(options: &Options) -> PostgresStore {
    PostgresStore::open(Catalog::new(schemas()), options.clone()).unwrap()
}

async fn insert(store: &dyn Store) -> (Uuid, Version) {
    let record = thing();
    let mutation = Mutation::Insert(&schemas()[0], record.clone());
    (id_of(&record), store.commit(&[mutation]).await.unwrap())
}

async fn events(store: &dyn Store, since: Version) -> (Version, Vec<Event>) {
    match store.changes(since).await.unwrap() {
        Changes::Events { until, events } => (until, events),
        Changes::Reload { .. } => panic!("the log reaches back to {since:?}"),
    }
}

const WRITE: &str = "INSERT INTO things (id, name, ws_id) \
                     VALUES ($1, 'by hand', (SELECT id FROM workspaces))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_and_a_person_are_noticed() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let options = Options {
        // Only a notification is as fast as this test.
        poll: Duration::from_secs(3600),
        ..server.options(&name)
    };
    let (one, two) = (open(&options), open(&options));
    let start = two.version().await.unwrap();
    let (first, version) = insert(&one).await;
    two.changed(start).await;
    let (until, seen) = events(&two, start).await;
    assert_eq!((until, seen.len(), seen[0].id), (version, 1, first));
    let second = Uuid::new_v4();
    let psql = server.client(&name).await;
    psql.execute(WRITE, &[&second]).await.unwrap();
    two.changed(until).await;
    let (_, seen) = events(&two, until).await;
    assert_eq!((seen.len(), seen[0].id), (1, second));
    // A table that is emptied in one go names no rows.
    let before = two.version().await.unwrap();
    psql.batch_execute("TRUNCATE things").await.unwrap();
    let emptied = two.changes(before).await.unwrap();
    assert!(matches!(emptied, Changes::Reload { .. }), "{emptied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_notices_what_no_notification_tells() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let psql = server.client(&name).await;
    let options = Options {
        poll: Duration::from_millis(20),
        ..server.options(&name)
    };
    let store = open(&options);
    let start = store.version().await.unwrap();
    let silent = "INSERT INTO silverback_changes (entity, entity_id, operation) \
                  VALUES ('things', gen_random_uuid(), 'insert')";
    psql.batch_execute(silent).await.unwrap();
    store.changed(start).await;
    assert!(store.version().await.unwrap() > start);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_is_not_skipped() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let store = open(&server.options(&name));
    let start = store.version().await.unwrap();
    let late = Uuid::new_v4();
    let psql = server.client(&name).await;
    psql.batch_execute("BEGIN").await.unwrap();
    psql.execute(WRITE, &[&late]).await.unwrap();
    // It is open, and holds up neither writers nor readers.
    let (early, _) = insert(&store).await;
    let (until, seen) = events(&store, start).await;
    assert_eq!(
        seen.iter().map(|event| event.id).collect::<Vec<_>>(),
        [early]
    );
    psql.batch_execute("COMMIT").await.unwrap();
    let (_, seen) = events(&store, until).await;
    assert_eq!(
        seen.iter().map(|event| event.id).collect::<Vec<_>>(),
        [late]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_every_event_of_many_writers_once_and_in_order() {
    const WRITERS: usize = 8;
    const COMMITS: usize = 25;
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let reader = open(&server.options(&name));
    let mut seen = reader.version().await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = Arc::new(open(&server.options(&name)));
        writers.spawn(async move {
            let mut written = Vec::new();
            for _ in 0..COMMITS {
                written.push(insert(store.as_ref()).await.0);
            }
            written
        });
    }
    let mut read = Vec::new();
    while read.len() < WRITERS * COMMITS {
        reader.changed(seen).await;
        let (until, events) = events(&reader, seen).await;
        seen = until;
        read.extend(events);
    }
    assert!(read.is_sorted_by(|one, next| one.version < next.version));
    let written: BTreeSet<_> = writers.join_all().await.into_iter().flatten().collect();
    let read: BTreeSet<_> = read.into_iter().map(|event| event.id).collect();
    assert_eq!(read, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_is_caught_up_with() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let options = server.options(&name);
    let store = open(&options);
    let (_, before) = insert(&store).await;
    store.changes(before).await.unwrap();
    server.stop();
    let attempts = [
        store.ping().await,
        store.version().await.map(drop),
        store
            .commit(&[Mutation::Insert(&schemas()[0], thing())])
            .await
            .map(drop),
    ];
    for attempt in attempts {
        assert!(matches!(attempt, Err(Error::Unavailable(_))), "{attempt:?}");
    }
    // A node can start meanwhile.
    let started = open(&options);
    let attempt = started.version().await;
    assert!(matches!(attempt, Err(Error::Unavailable(_))), "{attempt:?}");
    server.resume();
    let written = Uuid::new_v4();
    let psql = server.client(&name).await;
    psql.execute(WRITE, &[&written]).await.unwrap();
    store.changed(before).await;
    let (_, seen) = events(&store, before).await;
    assert_eq!((seen.len(), seen[0].id), (1, written));
    started.ping().await.unwrap();
    assert_eq!(
        started.version().await.unwrap(),
        store.version().await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_with_the_same_numbers_means_reload() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let store = open(&server.options(&name));
    for _ in 0..3 {
        insert(&store).await;
    }
    let seen = store.version().await.unwrap();
    store.changes(seen).await.unwrap();
    // As after a fail-over to a server that had missed the last commits.
    let psql = server.client(&name).await;
    let rewind = "DELETE FROM silverback_changes WHERE version > 1; \
                  SELECT setval('silverback_changes_version_seq', 1);";
    psql.batch_execute(rewind).await.unwrap();
    for _ in 0..5 {
        psql.execute(WRITE, &[&Uuid::new_v4()]).await.unwrap();
    }
    let answer = store.changes(seen).await.unwrap();
    assert!(matches!(answer, Changes::Reload { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_changes_than_the_log_has_to_keep_mean_reload() {
    let server = Server::start();
    let name = server.bootstrapped(&Catalog::new(schemas())).await;
    let store = open(&Options {
        change_log: 10,
        ..server.options(&name)
    });
    let before = store.version().await.unwrap();
    let psql = server.client(&name).await;
    for _ in 0..10 {
        psql.execute(WRITE, &[&Uuid::new_v4()]).await.unwrap();
    }
    let answer = store.changes(before).await.unwrap();
    let Changes::Events { until, events } = answer else {
        panic!("ten changes are read");
    };
    assert_eq!((until, events.len()), (Version(before.0 + 10), 10));
    psql.execute(WRITE, &[&Uuid::new_v4()]).await.unwrap();
    let answer = store.changes(before).await.unwrap();
    let Changes::Reload { from } = answer else {
        panic!("eleven are too many");
    };
    assert_eq!(from, Version(before.0 + 11));
}
