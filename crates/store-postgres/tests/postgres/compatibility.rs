//! What users ask of the Admin API, written to the tables as Kong 3.9 writes it: column by column.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use entities::RouterFlavor;
use schema::{OnDelete, Record, Schema, Subschema, Subschemas};
use serde_json::{Value, json};
use stdx::ManualClock;
use store::{Catalog, Key, Repository};
use store_postgres::{Migrations, Options, PostgresStore};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::kong::{database_of_kong, rows};
use crate::server::Server;

const REQUESTS: &str = include_str!("../data/kong-3.9-requests.json");

/// When the recorded rows were made.
const MADE: Duration = Duration::from_secs(1_795_380_670);

const ALICE: &str = "5338d6fd-21ab-423e-b000-d90b22f278b3";
const SVC1: &str = "157650e2-93f7-40fc-b211-5dc2109e202f";
const R1: &str = "329de7b7-933f-41a6-8129-960fb304f1d0";

fn declared() -> &'static entities::Catalog {
    plugins::catalog(RouterFlavor::default())
}

fn catalog() -> Catalog {
    Catalog::new(declared().all())
}

/// The bundled entities and plugins, owned.
struct Declared;

impl Subschemas for Declared {
    fn find(&self, entity: &str, choice: &str) -> Option<&Subschema> {
        declared().find(entity, choice)
    }

    fn entity(&self, name: &str) -> Option<&Schema> {
        declared().entity(name)
    }
}

/// A request that makes one of the recorded rows.
#[derive(serde::Deserialize)]
struct Request {
    entity: String,
    id: String,
    /// Milliseconds after the first of them.
    after: u64,
    body: Value,
}

/// What was asked of Kong when it wrote the recorded rows.
fn requests() -> Vec<Request> {
    serde_json::from_str(REQUESTS).unwrap()
}

/// What users do, on a database.
struct Node {
    repository: Repository,
    clock: Arc<ManualClock>,
}

impl Node {
    fn open(options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH + MADE));
        let options = Options {
            clock: clock.clone(),
            ..options
        };
        let store = PostgresStore::open(catalog(), options).unwrap();
        let repository = Repository::new(
            Arc::new(store),
            catalog(),
            clock.clone(),
            Arc::new(Declared),
        );
        Self { repository, clock }
    }

    async fn put(&self, entity: &str, id: &str, body: Value) -> Record {
        let schema = declared().get(entity).unwrap();
        let key = Key::Id(Uuid::parse_str(id).unwrap());
        let body = body.as_object().cloned().unwrap();
        let put = self.repository.upsert(schema, &key, body).await;
        put.unwrap_or_else(|error| panic!("{entity} {id}: {error}"))
            .0
    }

    async fn patch(&self, entity: &str, id: &str, body: Value) {
        let schema = declared().get(entity).unwrap();
        let key = Key::Id(Uuid::parse_str(id).unwrap());
        let body = body.as_object().cloned().unwrap();
        self.repository.update(schema, &key, body).await.unwrap();
    }
}

/// A database with the tables of Kong, the workspace of the recorded one, and rows of which there is no request here.
async fn database_like(server: &Server, old: &Client, copied: &[&str]) -> String {
    let name = server.database().await;
    let options = server.options(&name);
    Migrations::new(&options, catalog())
        .bootstrap()
        .await
        .unwrap();
    let client = server.client(&name).await;
    let sql = "SELECT id FROM workspaces";
    let id: Uuid = old.query_one(sql, &[]).await.unwrap().get(0);
    let sql = "UPDATE workspaces SET id = $1";
    client.execute(sql, &[&id]).await.unwrap();
    // The server's clock says that what lived then has expired since.
    let trigger = "DROP TRIGGER keyauth_credentials_ttl_trigger ON keyauth_credentials";
    client.batch_execute(trigger).await.unwrap();
    for table in copied {
        let sql =
            format!("INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, $1)");
        for row in rows(old, table).await.values() {
            client.execute(&sql, &[row]).await.unwrap();
        }
    }
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_write_the_rows_that_kong_writes() {
    let server = Server::start();
    let old = server.client(&database_of_kong(&server).await).await;
    let new = database_like(&server, &old, &["upstreams"]).await;
    let node = Node::open(server.options(&new));
    let new = server.client(&new).await;
    let mut different = BTreeMap::new();
    let mut requests = requests();
    requests.sort_by_key(|request| request.after);
    let mut passed = 0;
    for request in requests {
        let Request {
            entity,
            id,
            after,
            body,
        } = request;
        node.clock.advance(Duration::from_millis(after - passed));
        passed = after;
        node.put(&entity, &id, body).await;
        let table = declared().get(&entity).unwrap().table;
        let (made, expected) = (rows(&new, table).await, rows(&old, table).await);
        if made[&id] != expected[&id] {
            let rows = (made[&id].clone(), expected[&id].clone());
            different.insert((entity, id), rows);
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    // Kong's triggers keep its table of tags.
    let tags = "SELECT entity_id::text, to_jsonb(t) FROM tags t";
    let all = |rows: Vec<tokio_postgres::Row>| -> BTreeMap<String, Value> {
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    let expected = all(old.query(tags, &[]).await.unwrap());
    for (id, row) in all(new.query(tags, &[]).await.unwrap()) {
        assert_eq!(Some(&row), expected.get(&id), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_touches_the_columns_that_kong_touches() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    let node = Node::open(server.options(&name));
    node.clock.advance(Duration::from_millis(10_250));
    let seconds = json!("2026-11-22T20:51:20+00:00");
    let millis = json!("2026-11-22T20:51:20.25+00:00");
    let workspace = "58870f56-7687-4a4c-8bdb-42e74484da0b";
    let target = "64012fb6-5792-40f0-b358-9dc0b84c044c";
    let plugin = "ea4b1b0f-64d7-46b4-947d-d24120d551a2";
    let key = "d0bc931f-81a2-43fc-a6aa-ec2c304bb184";
    let changes = [
        (
            "services",
            SVC1,
            json!({"retries": 4, "path": null}),
            json!({"retries": 4, "path": null, "updated_at": seconds}),
        ),
        (
            "routes",
            R1,
            json!({"service": null, "headers": {"x-b": ["1"]}}),
            json!({"service_id": null, "headers": {"x-b": ["1"]}, "updated_at": seconds}),
        ),
        (
            "targets",
            target,
            json!({"weight": 5}),
            json!({"weight": 5, "updated_at": millis}),
        ),
        // Scope and name of a plugin are its cache key; the rest of its configuration stays.
        (
            "plugins",
            plugin,
            json!({"route": null, "consumer": null, "config": {"key_in_body": true}}),
            json!({
                "route_id": null, "cache_key": format!("plugins:key-auth:::::{workspace}"),
                "config": {
                    "realm": null, "anonymous": null, "key_names": ["apikey"], "key_in_body": true,
                    "key_in_query": true, "key_in_header": true, "hide_credentials": false,
                    "run_on_preflight": true,
                },
                "updated_at": seconds,
            }),
        ),
        (
            "consumers",
            ALICE,
            json!({"tags": []}),
            json!({"tags": [], "updated_at": seconds}),
        ),
        // Credentials have no such column, and the time that is left counts from now.
        (
            "keyauth_credentials",
            key,
            json!({"ttl": 60}),
            json!({"ttl": "2026-11-22T20:52:20.25+00:00"}),
        ),
    ];
    for (entity, id, body, changed) in changes {
        let table = declared().get(entity).unwrap().table;
        let before = rows(&client, table).await;
        node.patch(entity, id, body).await;
        let after = rows(&client, table).await;
        let mut expected = before.clone();
        if let Some(Value::Object(row)) = expected.get_mut(id) {
            row.extend(changed.as_object().cloned().unwrap());
        }
        assert_eq!(after, expected, "{entity}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_too_long_for_an_index_is_the_fault_of_the_request() {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let node = Node::open(server.options(&name));
    let schema = declared().get("consumers").unwrap();
    // A text that does not repeat itself cannot be made shorter.
    let ids = (0..2_000_u128).map(|seed| {
        Uuid::from_u128(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_string()
    });
    let body = json!({ "username": ids.collect::<String>() });
    let made = node
        .repository
        .insert(schema, body.as_object().cloned().unwrap());
    match made.await {
        Err(store::repository::Error::Schema(violations)) => assert_eq!(
            violations.message(),
            "schema violation (a value is too long for the database)"
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_declared_entity_has_the_columns_and_relations_of_kong() {
    let server = Server::start();
    let database = server.bootstrapped(&catalog()).await;
    let client = server.client(&database).await;
    // Nothing but the tables of Kong and those with our prefix.
    let sql = "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'silverback%'";
    let tables: i32 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(tables, crate::kong::table_count());
    for schema in catalog().parents_first() {
        for (field, declaration) in store::catalog::stored_fields(schema) {
            let column = match declaration.foreign() {
                Some(_) => format!("{field}_id"),
                None => field.to_owned(),
            };
            let sql = "SELECT is_nullable = 'YES' OR column_default IS NOT NULL \
                       FROM information_schema.columns WHERE table_name = $1 AND column_name = $2";
            let row = client.query_opt(sql, &[&schema.table, &column]).await;
            let row = row.unwrap();
            let row = row.unwrap_or_else(|| panic!("no column {}.{column}", schema.table));
            // What a column does not take has to be refused, or made, before it gets there.
            let takes_null: bool = row.get(0);
            let is_there = declaration.is_never_null()
                || declaration.is_auto()
                // What a plugin or vault declares in its place is required.
                || declaration.is_abstract()
                // Made of the certificate; whoever empties it afterwards is refused by the store.
                || field == "cert_digest";
            assert!(
                takes_null || is_there || !schema.admin_api,
                "{}.{column}",
                schema.table
            );
        }
        for child in catalog().children(schema.name) {
            let sql = "SELECT confdeltype = 'c' FROM pg_constraint WHERE contype = 'f' \
                       AND conrelid = $1::text::regclass AND confrelid = $2::text::regclass \
                       AND conname = $3";
            let name = format!("{}_{}_id_fkey", child.schema.table, child.field);
            let names: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&child.schema.table, &schema.table, &name];
            let cascades: bool = client.query_one(sql, &names).await.unwrap().get(0);
            assert_eq!(cascades, child.on_delete == OnDelete::Cascade, "{name}");
        }
    }
}
