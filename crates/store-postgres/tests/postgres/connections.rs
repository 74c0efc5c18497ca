//! Connections: TLS, passwords, hosts that are tried in turn, bounds, and a node that has nothing to do.

use std::time::Duration;

use stdx::Secret;
use store::{Catalog, Error, Store};
use store_postgres::{Options, PostgresStore, Tls};

use crate::server::{PASSWORD, ROLE, Server};

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

fn open(options: Options) -> PostgresStore {
    PostgresStore::open(catalog(), options).unwrap()
}

/// A server with a database and a role that needs its password over TCP; of making the tables no session is left.
async fn server() -> (Server, String) {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let sql = format!("ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'");
    server
        .client(&name)
        .await
        .batch_execute(&sql)
        .await
        .unwrap();
    at_most(&server, &name, 0, "true").await;
    (server, name)
}

async fn sessions(server: &Server, name: &str, condition: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid) \
         WHERE application_name = 'silverback' AND {condition}"
    );
    let client = server.client(name).await;
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// Waits until the server has noticed which connections are closed: it learns of that later than we do.
async fn at_most(server: &Server, name: &str, most: i64, condition: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while sessions(server, name, condition).await > most {
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "connections stay ({condition})");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_what_was_asked_for() {
    let (server, name) = server().await;
    let verified = |pem: String| Tls::Verified {
        authorities: pem.into_bytes(),
        system: false,
        identity: None,
    };
    let encrypted = [
        Tls::Preferred(None),
        Tls::Required(None),
        verified(server.authority.clone()),
    ];
    for tls in encrypted {
        let store = open(Options {
            tls,
            ..server.tcp_options(&name)
        });
        store.ping().await.unwrap();
        assert_eq!(sessions(&server, &name, "NOT ssl").await, 0);
        assert!(sessions(&server, &name, "ssl").await > 0);
    }
    let stranger = Server::start();
    let store = open(Options {
        tls: verified(stranger.authority.clone()),
        ..server.tcp_options(&name)
    });
    let attempt = store.ping().await;
    assert!(matches!(attempt, Err(Error::Unavailable(_))), "{attempt:?}");
    let nonsense = PostgresStore::open(
        catalog(),
        Options {
            tls: verified("no certificate".to_owned()),
            ..server.tcp_options(&name)
        },
    );
    assert!(matches!(nonsense, Err(Error::Database(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_outage_and_never_shown() {
    let (server, name) = server().await;
    open(server.tcp_options(&name)).version().await.unwrap();
    let options = Options {
        password: Secret::new("a wrong guess"),
        ..server.tcp_options(&name)
    };
    assert!(!format!("{options:?}").contains("a wrong guess"));
    match open(options).version().await {
        Err(Error::Unavailable(text)) => assert!(!text.contains("a wrong guess"), "{text}"),
        other => panic!("expected an outage, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_that_takes_writes_is_used() {
    let (server, name) = server().await;
    let (reader, read_only) = self::server().await;
    let sql = format!("ALTER DATABASE {read_only} SET default_transaction_read_only = on");
    reader
        .client("postgres")
        .await
        .batch_execute(&sql)
        .await
        .unwrap();
    assert_eq!(name, read_only, "both servers have a database of that name");
    let mut options = reader.tcp_options(&name);
    options.hosts.extend(server.tcp_options(&name).hosts);
    let store = open(options);
    store.version().await.unwrap();
    assert!(sessions(&server, &name, "true").await > 0);
    at_most(&reader, &name, 0, "true").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_has_a_bound_and_an_idle_node_one_connection() {
    let (server, name) = server().await;
    let store = open(Options {
        pool_size: 3,
        keepalive: Duration::from_millis(1),
        poll: Duration::from_millis(10),
        ..server.options(&name)
    });
    store.version().await.unwrap();
    let pings = (0..50).map(|_| store.ping());
    let all = futures_util::future::join_all(pings).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!(sessions(&server, &name, "true").await <= 4);
    at_most(&server, &name, 1, "true").await;
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_leaves_no_connection_behind() {
    let (server, name) = server().await;
    let store = open(server.options(&name));
    store.version().await.unwrap();
    let catalog = catalog();
    let schemas: Vec<&schema::Schema> = catalog
        .parents_first()
        .map(|schema| -> &_ { schema })
        .collect();
    for _ in 0..3 {
        store.digests(&schemas).await.unwrap();
    }
    // The pool would keep it for a minute.
    at_most(&server, &name, 1, "true").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_an_outage() {
    let (server, name) = server().await;
    let store = open(Options {
        timeout: Duration::from_millis(300),
        ..server.options(&name)
    });
    store.version().await.unwrap();
    let blocker = server.client(&name).await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE silverback_changes IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let attempt = store.version().await;
    assert!(matches!(attempt, Err(Error::Unavailable(_))), "{attempt:?}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    store.version().await.unwrap();
}

#[tokio::test]
async fn a_host_that_never_answers_is_an_outage() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = open(Options {
        hosts: vec![("127.0.0.1".to_owned(), silent.local_addr().unwrap().port())],
        timeout: Duration::from_millis(100),
        ..Options::default()
    });
    for attempt in [store.ping().await, store.version().await.map(drop)] {
        assert!(matches!(attempt, Err(Error::Unavailable(_))), "{attempt:?}");
    }
}
