//! The tables of Kong 3.9: made as Kong makes them, read and written as Kong reads and writes them.
//!
//! `tests/data` has what a Kong 3.9.1 left in its database: the definitions of its tables, and rows of each kind.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use schema::{Field, Record, Schema};
use serde_json::{Value, json};
use stdx::ManualClock;
use store::{Catalog, Key, Mutation, PageRequest, Store};
use store_postgres::{Migrations, Options, PostgresStore};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::server::Server;

const TABLES: &str = include_str!("../data/kong-3.9-tables.json");
const ROWS: &str = include_str!("../data/kong-3.9-rows.sql");

/// A moment shortly after the rows were written, before the first of them expires.
const THEN: Duration = Duration::from_secs(1_795_380_720);

pub fn core() -> Catalog {
    Catalog::new(entities::all())
}

/// Two kinds of credentials as Kong's plugins declare them.
pub fn credentials() -> &'static [Schema] {
    static ALL: LazyLock<Vec<Schema>> = LazyLock::new(|| {
        let text = || Field::string("Text.");
        let credential = |name| {
            Schema::new(name, "A credential.")
                .field_as("id", Field::id())
                .field_as("created_at", Field::auto_timestamp("When."))
                .field_as("consumer", Field::foreign_to("Whose.", "consumers"))
                .field_as("tags", Field::set("Tags.", text()))
        };
        let mut groups = credential("acls").field_as("group", text());
        groups.cache_key = &["consumer", "group"];
        let mut keys = credential("keyauth_credentials").field_as("key", text().unique());
        keys.cache_key = &["key"];
        keys.ttl = true;
        vec![groups, keys]
    });
    &ALL
}

/// A database with the rows that Kong wrote.
pub async fn database_of_kong(server: &Server) -> String {
    let name = server.bootstrapped(&core()).await;
    let client = server.client(&name).await;
    // The rows come with a workspace of their own; triggers stay out of it, as when a dump is restored.
    let clean =
        "DELETE FROM workspaces; DELETE FROM parameters; SET session_replication_role = replica;";
    client.batch_execute(clean).await.unwrap();
    client.batch_execute(ROWS).await.unwrap();
    name
}

pub fn at_that_time(options: Options) -> Options {
    Options {
        clock: Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH + THEN)),
        ..options
    }
}

/// How many tables Kong has.
pub fn table_count() -> i32 {
    let tables: Vec<Value> = serde_json::from_str(TABLES).unwrap();
    i32::try_from(tables.len()).unwrap()
}

/// Every row of a table, as JSON, by id.
pub async fn rows(client: &Client, table: &str) -> BTreeMap<String, Value> {
    let sql = format!("SELECT id::text, to_jsonb(t) FROM {table} t");
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub async fn all(store: &dyn Store, schema: &Schema) -> Vec<Record> {
    let request = PageRequest {
        size: 1000,
        ..Default::default()
    };
    let page = store.page(schema, &request).await.unwrap();
    assert_eq!(page.offset, None);
    page.records
}

#[tokio::test]
async fn bootstrapping_makes_the_tables_of_kong() {
    let server = Server::start();
    let name = server.bootstrapped(&core()).await;
    let client = server.client(&name).await;
    let sql = "
        SELECT jsonb_build_object('table', c.relname,
            'columns', (SELECT jsonb_agg(jsonb_build_object('name', attname,
                    'type', format_type(atttypid, atttypmod), 'not_null', attnotnull,
                    'default', pg_get_expr(adbin, adrelid)) ORDER BY attnum)
                FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
            'constraints', (SELECT jsonb_agg(jsonb_build_object('name', conname,
                    'definition', pg_get_constraintdef(oid)) ORDER BY conname)
                FROM pg_constraint WHERE conrelid = c.oid AND contype <> 't'),
            'indexes', (SELECT jsonb_agg(indexdef ORDER BY indexname)
                FROM pg_indexes WHERE tablename = c.relname AND schemaname = 'public'),
            'triggers', (SELECT jsonb_agg(jsonb_build_object('name', tgname,
                    'definition', pg_get_triggerdef(oid)) ORDER BY tgname)
                FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
                AND tgname NOT LIKE 'silverback%'))
        FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname NOT LIKE 'silverback%' ORDER BY relname COLLATE \"C\"";
    let made = client.query(sql, &[]).await.unwrap();
    let made: Vec<Value> = made.iter().map(|row| row.get(0)).collect();
    let expected: Vec<Value> = serde_json::from_str(TABLES).unwrap();
    let name = |table: &Value| table["table"].clone();
    assert_eq!(
        made.iter().map(name).collect::<Vec<_>>(),
        expected.iter().map(name).collect::<Vec<_>>()
    );
    for (made, expected) in made.iter().zip(&expected) {
        for part in ["columns", "constraints", "indexes", "triggers"] {
            assert_eq!(made[part], expected[part], "{part} of {}", name(made));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_kong_are_served_and_written_the_same() {
    let server = Server::start();
    let old = database_of_kong(&server).await;
    let new = server.bootstrapped(&core()).await;
    let (before, after) = (server.client(&old).await, server.client(&new).await);
    // Ids of workspaces are part of the rows, so the new database gets that of the old one.
    let id: Uuid = before
        .query_one("SELECT id FROM workspaces", &[])
        .await
        .unwrap()
        .get(0);
    after
        .execute("UPDATE workspaces SET id = $1", &[&id])
        .await
        .unwrap();
    // The server's clock says that what lived then has expired since.
    let trigger = "DROP TRIGGER keyauth_credentials_ttl_trigger ON keyauth_credentials";
    after.batch_execute(trigger).await.unwrap();
    for catalog in [core(), Catalog::new(credentials())] {
        let options = |name| at_that_time(server.options(name));
        let source = PostgresStore::open(catalog.clone(), options(&old)).unwrap();
        let target = PostgresStore::open(catalog.clone(), options(&new)).unwrap();
        for schema in catalog.parents_first() {
            let expected = rows(&before, schema.table).await;
            let records = all(&source, schema).await;
            assert_eq!(records.len(), expected.len(), "{}", schema.name);
            let rewritten: Vec<_> = records
                .iter()
                .map(|record| Mutation::Update(schema, record.clone()))
                .collect();
            source.commit(&rewritten).await.unwrap();
            assert_eq!(
                rows(&before, schema.table).await,
                expected,
                "{}",
                schema.name
            );
            let copied: Vec<_> = records
                .iter()
                .map(|record| Mutation::Upsert(schema, record.clone()))
                .collect();
            target.commit(&copied).await.unwrap();
            assert_eq!(
                rows(&after, schema.table).await,
                expected,
                "{}",
                schema.name
            );
            assert_eq!(all(&target, schema).await, records, "{}", schema.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_kong_look_like_answers_of_its_admin_api() {
    let server = Server::start();
    let options = at_that_time(server.options(&database_of_kong(&server).await));
    let store = PostgresStore::open(core(), options.clone()).unwrap();
    let get = async |entity: &str, field, value| {
        let schema = entities::get(entity).unwrap();
        let found = store.get(schema, Key::Unique(field, value)).await.unwrap();
        Value::Object(found.unwrap())
    };
    let consumer = get("consumers", "username", "alice").await;
    assert_eq!(
        consumer,
        json!({
            "id": "5338d6fd-21ab-423e-b000-d90b22f278b3", "username": "alice", "custom_id": "a-1",
            "tags": ["t1"], "created_at": 1_795_380_670, "updated_at": 1_795_380_670,
        })
    );
    let plugin = get("plugins", "instance_name", "ka-r1").await;
    assert_eq!(
        plugin["route"],
        json!({ "id": "329de7b7-933f-41a6-8129-960fb304f1d0" })
    );
    assert_eq!(plugin["service"], Value::Null);
    assert_eq!(plugin["config"]["key_names"], json!(["apikey"]));
    let vault = get("vaults", "prefix", "my-env").await;
    assert_eq!(vault["config"], json!({ "prefix": "MYSEC_" }));
    let targets = all(&store, entities::get("targets").unwrap()).await;
    let made: Vec<_> = targets.iter().map(|target| &target["created_at"]).collect();
    assert_eq!(made, [1_795_380_670.124, 1_795_380_670.116]);

    let credentials = PostgresStore::open(Catalog::new(credentials()), options).unwrap();
    let keys = all(&credentials, &self::credentials()[1]).await;
    let left = keys
        .iter()
        .find_map(|key| key.get("ttl"))
        .and_then(Value::as_i64);
    assert!(left.is_some_and(|left| left > 0), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_kong_migrated_is_used_as_it_stands() {
    let server = Server::start();
    let name = database_of_kong(&server).await;
    let client = server.client(&name).await;
    // What is left is what Kong alone would have made.
    let remove = "DROP TABLE silverback_changes; DROP FUNCTION silverback_record_change CASCADE;";
    client.batch_execute(remove).await.unwrap();
    let options = at_that_time(server.options(&name));
    let migrations = Migrations::new(&options, core());
    let status = migrations.status().await.unwrap();
    assert!(status.bootstrapped && !status.change_log && !status.has_new());
    let store = PostgresStore::open(core(), options.clone()).unwrap();
    let version = store.version().await.unwrap();
    let services = all(&store, entities::get("services").unwrap()).await;
    assert_eq!(services.len(), 3);
    assert!(migrations.status().await.unwrap().is_up_to_date());
    // Kong writes a row, without knowing of any log.
    let write = "UPDATE services SET retries = 7 WHERE name = (SELECT min(name) FROM services)";
    client.execute(write, &[]).await.unwrap();
    assert!(store.version().await.unwrap() > version);
}
