//! Migrations: one of many does the work, nothing is done twice, and what cannot be migrated is refused.

use std::sync::Arc;

use store::{Catalog, Error, Store};
use store_postgres::migrations::Outcome;
use store_postgres::{Migrations, Options, PostgresStore};

use crate::server::Server;

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_bootstrap_at_once_one_does_it() {
    let server = Server::start();
    let options = Arc::new(server.options(&server.database().await));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let options = Arc::clone(&options);
        running.spawn(async move { Migrations::new(&options, catalog()).bootstrap().await });
    }
    let outcomes = running.join_all().await;
    let done = |outcome: &&Result<Outcome, Error>| matches!(outcome, Ok(Outcome::Done));
    assert_eq!(outcomes.iter().filter(done).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test]
async fn migrations_tell_what_a_database_has_been_through() {
    let server = Server::start();
    let options = Options {
        schema: Some("of its own".to_owned()),
        ..server.options(&server.database().await)
    };
    let migrations = Migrations::new(&options, catalog());
    assert!(!migrations.status().await.unwrap_or_default().bootstrapped);
    let refused = migrations.up().await;
    assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
    assert_eq!(migrations.bootstrap().await.unwrap(), Outcome::Done);
    assert_eq!(migrations.bootstrap().await.unwrap(), Outcome::NothingToDo);
    assert_eq!(migrations.up().await.unwrap(), Outcome::NothingToDo);
    assert_eq!(migrations.finish().await.unwrap(), Outcome::NothingToDo);
    let status = migrations.status().await.unwrap();
    assert!(status.is_up_to_date());
    let core = status.subsystems.iter().find(|part| part.name == "core");
    assert_eq!(core.unwrap().executed.last().unwrap(), "024_380_to_390");
    assert_eq!(migrations.reset().await.unwrap(), Outcome::Done);
    assert_eq!(migrations.reset().await.unwrap(), Outcome::NothingToDo);
    assert!(!migrations.status().await.unwrap().bootstrapped);
    assert_eq!(migrations.bootstrap().await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_database_of_an_older_kong_is_refused() {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let older = "UPDATE schema_meta SET executed = array_remove(executed, '024_380_to_390') \
                 WHERE subsystem = 'core'";
    server
        .client(&name)
        .await
        .execute(older, &[])
        .await
        .unwrap();
    let options = server.options(&name);
    let migrations = Migrations::new(&options, catalog());
    assert!(migrations.status().await.unwrap().has_new());
    let store = PostgresStore::open(catalog(), options.clone()).unwrap();
    for refused in [
        migrations.up().await.map(drop),
        store.version().await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
    }
}
