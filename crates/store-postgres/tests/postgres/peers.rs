//! The register of nodes: rows that are renewed, and calls that reach every node of the same schema.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use store::{Catalog, Mutation, Peer, Peers, Store, Version};
use store_postgres::{Migrations, Options, PostgresStore};
use uuid::Uuid;

use crate::server::Server;

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

fn open(options: &Options) -> PostgresStore {
    PostgresStore::open(catalog(), options.clone()).unwrap()
}

fn peer(hostname: &str, started: u64) -> Peer {
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(started);
    Peer {
        id: Uuid::new_v4(),
        hostname: hostname.to_owned(),
        addresses: vec!["http://127.0.0.1:8000".to_owned(), String::new()],
        program: "0.1.0".to_owned(),
        started_at,
        last_seen: started_at,
        applied: Version(7),
    }
}

/// Reports until somebody hears it: whoever starts to listen later hears only what comes later.
async fn report_until<T>(store: &PostgresStore, own: &Peer, heard: impl Future<Output = T>) -> T {
    let repeat = async {
        loop {
            store.report(own, true).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        heard = heard => heard,
        () = repeat => unreachable!("it reports for ever"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_listed_as_they_wrote_themselves_down() {
    let server = Server::start();
    let options = server.options(&server.bootstrapped(&catalog()).await);
    let (one, two) = (open(&options), open(&options));
    assert_eq!(one.peers().unwrap().list().await.unwrap().0, []);
    let (young, old) = (peer("young", 2_000), peer("old", 1_000));
    let (_, before) = one.list().await.unwrap();
    one.report(&young, false).await.unwrap();
    two.report(&old, true).await.unwrap();
    let (listed, now) = two.list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|peer| peer.hostname.as_str()).collect();
    assert_eq!(names, ["old", "young"]);
    for (listed, own) in listed.iter().zip([&old, &young]) {
        assert!(listed.last_seen > before && listed.last_seen <= now);
        let last_seen = own.last_seen;
        let listed = Peer {
            last_seen,
            ..listed.clone()
        };
        assert_eq!(&listed, own);
    }

    // A node that starts again has the row that it had.
    let again = Peer {
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(3_000),
        applied: Version(9),
        ..old.clone()
    };
    two.report(&again, false).await.unwrap();
    let (listed, _) = one.list().await.unwrap();
    assert_eq!((listed.len(), listed[1].applied), (2, Version(9)));
    one.forget(old.id).await.unwrap();
    one.forget(Uuid::new_v4()).await.unwrap();
    let (listed, _) = two.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, young.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_call_reaches_all_nodes_and_their_answers_come_back() {
    let server = Server::start();
    let options = server.options(&server.bootstrapped(&catalog()).await);
    let stores: Vec<_> = (0..3).map(|_| open(&options)).collect();
    // Each of them listens by the time that it has heard a report.
    for store in &stores {
        report_until(&stores[0], &peer("first", 1), store.reported()).await;
    }
    let waiting: Vec<_> = stores
        .iter()
        .map(|store| store.roll_called(Version(5)))
        .collect();
    stores[1].call_roll(Version(4)).await.unwrap();
    stores[1].call_roll(Version(6)).await.unwrap();
    stores[1].call_roll(Version(3)).await.unwrap();
    assert_eq!(join_all(waiting).await, [Version(6); 3]);
    // Whoever asks late is told as well.
    assert_eq!(stores[2].roll_called(Version(0)).await, Version(6));

    // A wait counts from the call on, so nothing is lost between a look at the list and the wait.
    let answer = stores[1].reported();
    stores[2].report(&peer("third", 3), true).await.unwrap();
    answer.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_schema_of_the_same_database_is_another_cluster() {
    let server = Server::start();
    let name = server.database().await;
    let of = |schema: &str| Options {
        schema: Some(schema.to_owned()),
        ..server.options(&name)
    };
    for schema in ["one", "two"] {
        let migrations = of(schema);
        Migrations::new(&migrations, catalog())
            .bootstrap()
            .await
            .unwrap();
    }
    let (one, two) = (open(&of("one")), open(&of("two")));
    for store in [&one, &two] {
        report_until(store, &peer("own", 1), store.reported()).await;
    }
    one.call_roll(Version(50)).await.unwrap();
    two.call_roll(Version(40)).await.unwrap();
    assert_eq!(one.roll_called(Version(0)).await, Version(50));
    assert_eq!(two.roll_called(Version(0)).await, Version(40));
    two.report(&peer("of two", 1), false).await.unwrap();
    let listed = one.list().await.unwrap().0;
    assert!(
        listed.iter().all(|peer| peer.hostname == "own"),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reporting_and_following_take_one_connection() {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let options = Options {
        keepalive: Duration::from_millis(1),
        poll: Duration::from_millis(10),
        ..server.options(&name)
    };
    let (one, two) = (open(&options), open(&options));
    let own = peer("idle", 1);
    report_until(&one, &own, one.reported()).await;
    report_until(&two, &own, two.reported()).await;
    let schema = entities::get("consumers").unwrap();
    let consumer = serde_json::json!({ "id": Uuid::new_v4().to_string(), "username": "c" });
    let consumer = consumer.as_object().cloned().unwrap();
    let start = two.version().await.unwrap();
    one.commit(&[Mutation::Insert(schema, consumer)])
        .await
        .unwrap();
    two.changed(start).await;
    drop(one);
    let client = server.client(&name).await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'silverback'";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        // What a node does that has nothing to do but to follow the others.
        two.report(&own, true).await.unwrap();
        two.list().await.unwrap();
        two.changes(start).await.unwrap();
        two.get_many(schema, &[Uuid::new_v4()]).await.unwrap();
        two.ping().await.unwrap();
        let open: i64 = client.query_one(count, &[]).await.unwrap().get(0);
        if open == 1 {
            break;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "{open} connections for one idle node");
        tokio::task::yield_now().await;
    }
}
