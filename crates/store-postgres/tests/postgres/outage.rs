//! Outages: a server that is stopped, paused, full or replaced, and a replica that is behind or gone.

use std::sync::Arc;
use std::time::Duration;

use fleet::{Durability, Postgres, Stop};
use futures_util::future::join_all;
use schema::Record;
use serde_json::json;
use store::{Catalog, Changes, Error, Key, Mutation, PageRequest, Store, Version};
use store_postgres::{Migrations, Options, PostgresStore};
use tokio_postgres::NoTls;
use uuid::Uuid;

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

/// How a store reaches some servers, in this order, and how little patience it has.
fn options(servers: &[&Postgres]) -> Options {
    let host = |server: &&Postgres| {
        (
            server.socket_folder().to_str().unwrap().to_owned(),
            server.port(),
        )
    };
    Options {
        hosts: servers.iter().map(host).collect(),
        user: Postgres::ROLE.to_owned(),
        database: "postgres".to_owned(),
        timeout: Duration::from_millis(500),
        semaphore_timeout: Duration::from_millis(500),
        poll: Duration::from_millis(50),
        ..Options::default()
    }
}

async fn bootstrapped() -> Postgres {
    let server = Postgres::start(Durability::Fast).unwrap();
    bootstrap(&server).await;
    server
}

async fn bootstrap(server: &Postgres) {
    let patient = Options {
        timeout: Duration::from_secs(20),
        ..options(&[server])
    };
    Migrations::new(&patient, catalog())
        .bootstrap()
        .await
        .unwrap();
}

fn open(options: Options) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::open(catalog(), options).unwrap())
}

fn consumer(name: &str) -> Record {
    let record = json!({ "id": Uuid::new_v4().to_string(), "username": name });
    record.as_object().cloned().unwrap()
}

async fn insert(store: &dyn Store, record: &Record) -> Result<Version, Error> {
    let schema = entities::get("consumers").unwrap();
    store
        .commit(&[Mutation::Insert(schema, record.clone())])
        .await
}

async fn find(store: &dyn Store, name: &str) -> Result<Option<Record>, Error> {
    let schema = entities::get("consumers").unwrap();
    store.get(schema, Key::Unique("username", name)).await
}

/// Repeats a call until it succeeds.
async fn eventually<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match call().await {
            Ok(value) => return value,
            Err(Error::Unavailable(_)) if tokio::time::Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("it does not come back: {error}"),
        }
    }
}

/// Every call of a store, of which each has to say that the database is out of reach.
async fn assert_out_of_reach(store: &PostgresStore) {
    let schema = entities::get("consumers").unwrap();
    let request = PageRequest::default();
    let peers = store.peers().unwrap();
    let calls = [
        find(store, "there").await.map(drop),
        find(store, "nobody").await.map(drop),
        store.get_many(schema, &[Uuid::nil()]).await.map(drop),
        store.page(schema, &request).await.map(drop),
        insert(store, &consumer("new")).await.map(drop),
        store.tags(None, &request).await.map(drop),
        store.version().await.map(drop),
        store.changes(Version(1)).await.map(drop),
        store.digests(&[schema]).await.map(drop),
        store.ping().await,
        peers.list().await.map(drop),
        peers.call_roll(Version(1)).await,
    ];
    for (number, call) in calls.iter().enumerate() {
        assert!(
            matches!(call, Err(Error::Unavailable(_))),
            "{number}: {call:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_is_out_of_reach_and_comes_back() {
    let server = bootstrapped().await;
    let store = open(options(&[&server]));
    let seen = eventually(async || insert(&*store, &consumer("there")).await).await;
    server.stop(Stop::Immediate).unwrap();
    assert_out_of_reach(&store).await;
    server.resume().unwrap();
    assert!(
        eventually(async || find(&*store, "there").await)
            .await
            .is_some()
    );
    eventually(async || insert(&*store, &consumer("after")).await).await;
    store.changed(seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_out_of_reach_and_comes_back() {
    let server = bootstrapped().await;
    let store = open(options(&[&server]));
    let seen = eventually(async || insert(&*store, &consumer("there")).await).await;
    server.pause().unwrap();
    // More callers than there are connections; none of them waits for ever.
    let many = join_all((0..30).map(|_| find(&*store, "there"))).await;
    assert!(
        many.iter()
            .all(|call| matches!(call, Err(Error::Unavailable(_)))),
        "{many:?}"
    );
    assert_out_of_reach(&store).await;
    server.unpause().unwrap();
    assert!(
        eventually(async || find(&*store, "there").await)
            .await
            .is_some()
    );
    eventually(async || insert(&*store, &consumer("after")).await).await;
    store.changed(seen).await;
    match eventually(async || store.changes(seen).await).await {
        Changes::Events { events, .. } => assert!(!events.is_empty()),
        Changes::Reload { .. } => panic!("it is the same history"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_says_so_and_is_read_all_the_same() {
    let server = bootstrapped().await;
    let store = open(options(&[&server]));
    eventually(async || insert(&*store, &consumer("there")).await).await;
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; \
                CREATE TRIGGER no_room BEFORE INSERT ON consumers FOR EACH ROW EXECUTE FUNCTION no_room()";
    server.query("postgres", full).unwrap();
    let refused = insert(&*store, &consumer("new")).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    assert!(find(&*store, "there").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_reset_lacks_its_tables_until_they_are_made_again() {
    let server = bootstrapped().await;
    let store = open(options(&[&server]));
    eventually(async || insert(&*store, &consumer("there")).await).await;
    let migrations_options = options(&[&server]);
    let migrations = Migrations::new(&migrations_options, catalog());
    migrations.reset().await.unwrap();
    let calls = [
        find(&*store, "there").await.map(drop),
        insert(&*store, &consumer("new")).await.map(drop),
    ];
    for call in calls {
        assert!(matches!(call, Err(Error::Unprepared(_))), "{call:?}");
    }
    bootstrap(&server).await;
    assert!(find(&*store, "there").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_free_connections_is_out_of_reach() {
    let server = Postgres::create(Durability::Fast).unwrap();
    server.set("max_connections", "8").unwrap();
    server.resume().unwrap();
    bootstrap(&server).await;
    let early = open(options(&[&server]));
    eventually(async || insert(&*early, &consumer("there")).await).await;
    drop(early);
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'silverback'";
    while server.query("postgres", left).unwrap().trim() != "0" {}
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(server.socket_folder())
        .port(server.port())
        .user(Postgres::ROLE)
        .dbname("postgres");
    let mut others = Vec::new();
    while let Ok((client, connection)) = config.connect(NoTls).await {
        tokio::spawn(connection);
        others.push(client);
    }
    let store = open(options(&[&server]));
    assert_out_of_reach(&store).await;
    others.clear();
    let found = eventually(async || find(&*store, "there").await).await;
    assert!(found.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_primary_is_followed() {
    let primary = bootstrapped().await;
    let standby = primary.standby().unwrap();
    // The standby comes first in the list and takes no writes.
    let store = open(options(&[&standby, &primary]));
    let seen = eventually(async || insert(&*store, &consumer("there")).await).await;
    let arrived = "SELECT count(*) FROM consumers";
    while standby.query("postgres", arrived).unwrap().trim() != "1" {}
    primary.stop(Stop::Immediate).unwrap();
    assert_out_of_reach(&store).await;
    standby.promote().unwrap();
    assert!(
        eventually(async || find(&*store, "there").await)
            .await
            .is_some()
    );
    let after = eventually(async || insert(&*store, &consumer("after")).await).await;
    assert!(after > seen);
    store.changed(seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_read_unless_it_is_behind_or_gone() {
    let primary = bootstrapped().await;
    let standby = primary.standby().unwrap();
    let with_replica = Options {
        replica: Some(Box::new(options(&[&standby]))),
        ..options(&[&primary])
    };
    let store = open(with_replica);
    eventually(async || insert(&*store, &consumer("there")).await).await;
    let reads = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'silverback'";
    // As soon as the replica has it, it is read from there.
    let mut used = false;
    while !used {
        assert!(find(&*store, "there").await.unwrap().is_some());
        used = standby
            .query("postgres", "SELECT count(*) FROM consumers")
            .unwrap()
            .trim()
            == "1"
            && standby.query("postgres", reads).unwrap().trim() != "0";
    }
    // A replica that is behind answers nothing, so what was written is read.
    standby
        .query("postgres", "SELECT pg_wal_replay_pause()")
        .unwrap();
    for n in 0..5 {
        let name = format!("late-{n}");
        insert(&*store, &consumer(&name)).await.unwrap();
        assert!(find(&*store, &name).await.unwrap().is_some());
    }
    standby
        .query("postgres", "SELECT pg_wal_replay_resume()")
        .unwrap();
    standby.stop(Stop::Immediate).unwrap();
    assert!(
        eventually(async || find(&*store, "there").await)
            .await
            .is_some()
    );
    assert!(find(&*store, "nobody").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_nobody_waits_for_any_more_is_there_for_the_next_one() {
    let server = bootstrapped().await;
    let store = open(Options {
        timeout: Duration::from_secs(20),
        semaphore_timeout: Duration::from_secs(20),
        keepalive: Duration::from_secs(1),
        ..options(&[&server])
    });
    eventually(async || store.version().await).await;
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(server.socket_folder())
        .port(server.port())
        .user(Postgres::ROLE)
        .dbname("postgres");
    let (observer, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let connections = async || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'silverback'";
        observer
            .query_one(count, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
    };
    // The one that listens; the one that looked whether everything is there goes when it has been idle.
    while connections().await != 1 {
        tokio::task::yield_now().await;
    }
    server.pause().unwrap();
    let impatient = tokio::time::timeout(Duration::from_millis(100), find(&*store, "nobody"));
    assert!(impatient.await.is_err(), "a paused server answers nobody");
    server.unpause().unwrap();
    while connections().await < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(find(&*store, "nobody").await.unwrap(), None);
}
