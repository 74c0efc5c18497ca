//! Kong's own events: what it is told of our commits, and what we learn from its events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stdx::ManualClock;
use store::{Catalog, Changes, Key, Mutation, Store};
use store_postgres::{Options, PostgresStore};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::kong::{all, at_that_time, core, credentials, database_of_kong};
use crate::server::Server;

/// Channels and texts that a Kong 3.9.1 wrote while the rows of `kong-3.9-rows.sql` were made.
const EVENTS: &str = include_str!("../data/kong-3.9-events.tsv");

type Events = BTreeSet<(String, String)>;

/// Takes the events out of the database.
async fn take_events(client: &Client) -> Events {
    let sql = "DELETE FROM cluster_events RETURNING channel, data";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn events<'a>(all: impl IntoIterator<Item = (&'a str, String)>) -> Events {
    let owned = |(channel, data): (&str, String)| (channel.to_owned(), data);
    all.into_iter().map(owned).collect()
}

const CORE: &str = "invalidations_kong_core_db_cache";
const OTHERS: &str = "invalidations";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kong_is_told_what_it_tells_itself() {
    let server = Server::start();
    let old = database_of_kong(&server).await;
    let new = server.bootstrapped(&core()).await;
    let client = server.client(&new).await;
    let sql = "SELECT id FROM workspaces";
    let from = server.client(&old).await.query_one(sql, &[]).await;
    let workspace: Uuid = from.unwrap().get(0);
    let sql = "UPDATE workspaces SET id = $1; ";
    client.execute(sql, &[&workspace]).await.unwrap();
    let trigger = "DROP TRIGGER keyauth_credentials_ttl_trigger ON keyauth_credentials";
    client.batch_execute(trigger).await.unwrap();
    for catalog in [core(), Catalog::new(credentials())] {
        let open = |name: &str| {
            let options = at_that_time(server.options(name));
            PostgresStore::open(catalog.clone(), options).unwrap()
        };
        let (source, target) = (open(&old), open(&new));
        for schema in catalog.parents_first() {
            // They were made with the database.
            if ["workspaces", "parameters"].contains(&schema.name) {
                continue;
            }
            let records = all(&source, schema).await;
            let copied = records
                .into_iter()
                .map(|record| Mutation::Insert(schema, record));
            let copied: Vec<_> = copied.collect();
            target.commit(&copied).await.unwrap();
        }
    }
    let shape = "SELECT count(*) FROM cluster_events WHERE nbf IS NULL \
                 AND expire_at = at + interval '1 hour' AND at = date_trunc('milliseconds', at) \
                 AND at - now() BETWEEN interval '-1 minute' AND interval '1 second'";
    let shaped: i64 = client.query_one(shape, &[]).await.unwrap().get(0);
    let told = take_events(&client).await;
    let recorded = EVENTS.lines().filter_map(|line| line.split_once('\t'));
    let recorded = events(recorded.map(|(channel, data)| (channel, data.to_owned())));
    assert_eq!(told, recorded);
    assert!(shaped >= i64::try_from(told.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kong_is_told_of_what_was_there_before_and_of_what_goes_along() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    let sql = "SELECT id FROM workspaces";
    let workspace: Uuid = client.query_one(sql, &[]).await.unwrap().get(0);
    take_events(&client).await;
    let store = PostgresStore::open(core(), at_that_time(server.options(&name))).unwrap();
    let find = async |entity: &str, field, value| {
        let schema = entities::get(entity).unwrap();
        let found = store.get(schema, Key::Unique(field, value)).await.unwrap();
        (schema, found.unwrap())
    };
    let key = |entity: &str, id: &Value| {
        let id = id.as_str().unwrap();
        format!("{entity}:{id}:::::{workspace}")
    };

    // A name that changes is forgotten as well as the new one.
    let (schema, stored) = find("snis", "name", "example.test").await;
    let mut record = stored.clone();
    record.insert("name".to_owned(), "www.example.org".into());
    let renamed = Mutation::Replace {
        schema,
        stored: stored.clone(),
        record,
    };
    store.commit(&[renamed]).await.unwrap();
    let names = ["example.test", "example.*", "www.example.org"];
    let names = names.into_iter().chain(["*.example.org", "www.example.*"]);
    let names = names.map(|name| (CORE, format!("snis:{name}")));
    let own = (CORE, key("snis", &stored["id"]));
    assert_eq!(take_events(&client).await, events(names.chain([own])));

    let (schema, mut stored) = find("consumers", "username", "alice").await;
    stored.insert("username".to_owned(), "alicia".into());
    store
        .commit(&[Mutation::Update(schema, stored.clone())])
        .await
        .unwrap();
    let expected = [
        (OTHERS, key("consumers", &stored["id"])),
        (OTHERS, key("consumers", &json!("alice"))),
        (OTHERS, key("consumers", &json!("alicia"))),
    ];
    assert_eq!(take_events(&client).await, events(expected));

    // A route that is deleted takes its plugin along.
    let id = Uuid::parse_str("329de7b7-933f-41a6-8129-960fb304f1d0").unwrap();
    let schema = entities::get("routes").unwrap();
    store.commit(&[Mutation::Delete(schema, id)]).await.unwrap();
    let expected = [
        (CORE, format!("routes:{id}:::::{workspace}")),
        (CORE, "router:version".to_owned()),
        (CORE, format!("plugins:key-auth:{id}::::{workspace}")),
        (CORE, "plugins_iterator:version".to_owned()),
    ];
    assert_eq!(take_events(&client).await, events(expected));
    // What was not there says nothing, and neither does what was refused.
    store.commit(&[Mutation::Delete(schema, id)]).await.unwrap();
    let (services, there) = find("services", "name", "svc-tls").await;
    let refused = Mutation::Insert(services, there);
    assert!(store.commit(&[refused]).await.is_err());
    assert_eq!(take_events(&client).await, Events::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kong_is_told_of_the_stores_that_a_changed_authority_is_in() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    let store = PostgresStore::open(core(), at_that_time(server.options(&name))).unwrap();
    let schema = entities::get("ca_certificates").unwrap();
    let authority = all(&store, schema).await.remove(0);
    let id = authority["id"].as_str().unwrap();
    let other = Uuid::nil();
    let together = format!(
        "UPDATE services SET ca_certificates = NULL; \
         UPDATE services SET ca_certificates = '{{{id},{other}}}' \
         WHERE id = (SELECT min(id::text)::uuid FROM services)"
    );
    client.batch_execute(&together).await.unwrap();
    take_events(&client).await;
    store
        .commit(&[Mutation::Update(schema, authority.clone())])
        .await
        .unwrap();
    let md5 = format!("SELECT md5('{other}:{id}')");
    let md5: String = client.query_one(&md5, &[]).await.unwrap().get(0);
    let expected = [
        (CORE, format!("ca_certificates:{id}:::::")),
        (CORE, format!("ca_stores:{md5}")),
    ];
    assert_eq!(take_events(&client).await, events(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_kong_is_found_though_the_triggers_were_lost() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    let options = Options {
        poll: Duration::from_millis(20),
        ..at_that_time(server.options(&name))
    };
    let store = PostgresStore::open(core(), options).unwrap();
    for lost in [
        "ALTER TABLE services DISABLE TRIGGER silverback_record_change",
        "DROP TRIGGER silverback_record_change ON services",
        "DROP FUNCTION silverback_record_change CASCADE; DROP TABLE silverback_changes",
    ] {
        let seen = store.version().await.unwrap();
        store.changes(seen).await.unwrap();
        client.batch_execute(lost).await.unwrap();
        // What Kong does when it changes a service.
        let change = "UPDATE services SET retries = retries + 1; \
             INSERT INTO cluster_events (id, node_id, at, expire_at, channel, data) \
             VALUES (gen_random_uuid(), gen_random_uuid(), clock_timestamp(), \
                clock_timestamp() + interval '1 hour', 'invalidations_kong_core_db_cache', 'x')";
        client.batch_execute(change).await.unwrap();
        store.changed(seen).await;
        let answer = store.changes(seen).await.unwrap();
        assert!(matches!(answer, Changes::Reload { .. }), "{answer:?}");
        // From here on they are there again.
        let seen = store.version().await.unwrap();
        let again = "UPDATE services SET retries = retries + 1 WHERE name = 'svc1'";
        client.batch_execute(again).await.unwrap();
        assert!(store.version().await.unwrap() > seen);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_rows_of_all_kinds_are_removed() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    let fill = "
        DELETE FROM cluster_events;
        INSERT INTO ratelimiting_metrics (identifier, period, period_date, value, ttl)
            SELECT 'n' || n, 'minute', now(), 1, now() + n * interval '1 hour' FROM generate_series(-1500, -1) n;
        INSERT INTO ratelimiting_metrics (identifier, period, period_date, value, ttl)
            VALUES ('alive', 'minute', now(), 1, now() + interval '1 hour'), ('for ever', 'minute', now(), 1, NULL);
        INSERT INTO locks VALUES ('stale', 'someone', now() - interval '1 second'), ('held', 'someone', now() + interval '1 hour');
        INSERT INTO sessions (id, session_id, ttl) VALUES (gen_random_uuid(), 's', now() - interval '1 minute');
        INSERT INTO cluster_events VALUES
            (gen_random_uuid(), gen_random_uuid(), now(), NULL, now() - interval '1 second', 'c', 'old'),
            (gen_random_uuid(), gen_random_uuid(), now(), NULL, now() + interval '1 hour', 'c', 'new');";
    client
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    client.batch_execute(fill).await.unwrap();
    // A node whose clock runs behind removes nothing that it would still serve, and one whose clock is ahead
    // nothing that the others would.
    let ahead = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    let options = Options {
        clock: Arc::new(ahead),
        poll: Duration::from_millis(20),
        ..server.options(&name)
    };
    let _store = PostgresStore::open(core(), options).unwrap();
    let left = "SELECT string_agg(name, ' ' ORDER BY name) FROM (
        SELECT identifier AS name FROM ratelimiting_metrics UNION ALL SELECT key FROM locks
        UNION ALL SELECT session_id FROM sessions UNION ALL SELECT data FROM cluster_events) AS all_rows";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let row = client.query_one(left, &[]).await.unwrap();
        if row.get::<_, String>(0) == "alive for ever held new" {
            break;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "left: {}", row.get::<_, String>(0).len());
        tokio::task::yield_now().await;
    }
}
