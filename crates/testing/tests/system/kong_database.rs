//! A database that Kong 3.9 migrated and filled: a node serves it as it stands, and what is changed through the Admin
//! API is written as Kong writes it, column by column.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use testing::{Answer, Backend, Client, Cluster, Node, PATIENCE};

/// What a Kong 3.9.1 left in its database, and what it had been asked for.
const ROWS: &str = include_str!("../../../store-postgres/tests/data/kong-3.9-rows.sql");
const REQUESTS: &str = include_str!("../../../store-postgres/tests/data/kong-3.9-requests.json");

const WORKSPACE: &str = "58870f56-7687-4a4c-8bdb-42e74484da0b";
const UPSTREAM: &str = "a0e7a97d-deaa-4642-9f55-3ef6a1aa27af";

/// Columns that say when something was done, or when it ends.
const TIMES: [&str; 3] = ["created_at", "updated_at", "ttl"];

/// Takes away everything of ours, so that the database is as Kong leaves it.
const OURS: &str = "
    DO $$ DECLARE found record; BEGIN
        FOR found IN SELECT oid::regprocedure AS name FROM pg_proc WHERE proname LIKE 'silverback%' LOOP
            EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', found.name);
        END LOOP;
        FOR found IN SELECT tablename AS name FROM pg_tables WHERE tablename LIKE 'silverback%' LOOP
            EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', found.name);
        END LOOP;
    END $$;";

/// A cluster of one place whose database is as Kong left it.
fn cluster_of_kong() -> Cluster {
    let cluster = Cluster::new(1);
    cluster.query(&format!(
        "SET client_min_messages = warning; SET session_replication_role = replica; \
         DELETE FROM workspaces; DELETE FROM parameters; {ROWS}; {OURS}"
    ));
    assert_eq!(count_of_ours(&cluster), "0");
    cluster
}

fn count_of_ours(cluster: &Cluster) -> String {
    cluster.query("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'silverback%'")
}

/// Every row of a table by id, or by what else names it.
fn rows(cluster: &Cluster, table: &str) -> BTreeMap<String, Map<String, Value>> {
    let key = if table == "tags" { "entity_id" } else { "id" };
    let all = cluster.query(&format!(
        "SELECT coalesce(jsonb_object_agg({key}, to_jsonb(t)), '{{}}') FROM {table} t"
    ));
    let all: BTreeMap<String, Map<String, Value>> = serde_json::from_str(&all).unwrap();
    all
}

/// The database's time, as it stands in a column of a row.
fn now(cluster: &Cluster) -> String {
    let now = cluster.query("SELECT to_jsonb(clock_timestamp())");
    now.trim_matches('"').to_owned()
}

/// Whether a time is from between two others, and as exact as the one that Kong wrote.
fn is_like(time: &Value, kongs: &Value, from: &str, to: &str) -> bool {
    let (Some(time), Some(kongs)) = (time.as_str(), kongs.as_str()) else {
        return time == kongs;
    };
    let digits = |time: &str| {
        let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
        fraction.bytes().take_while(u8::is_ascii_digit).count()
    };
    let second = |time: &str| time.get(..19).map(str::to_owned);
    let is_exact = match digits(kongs) {
        0 => digits(time) == 0,
        // Zeros at the end are not written.
        _ => digits(time) <= 3,
    };
    is_exact
        && time.ends_with("+00:00")
        && second(time) >= second(from)
        && second(time) <= second(to)
}

/// What was written otherwise than Kong writes it; times count as equal if they are from between `from` and `to`.
fn differences(
    made: &Map<String, Value>,
    kongs: &Map<String, Value>,
    (from, to): (&str, &str),
) -> Vec<String> {
    let columns: Vec<_> = made.keys().chain(kongs.keys()).collect();
    let differs = |column: &&&String| {
        let (own, theirs) = (&made.get(**column), &kongs.get(**column));
        match (own, theirs, TIMES.contains(&column.as_str())) {
            (Some(own), Some(theirs), true) if column.as_str() != "ttl" => {
                !is_like(own, theirs, from, to)
            }
            // When it ends is an hour after it was made.
            (Some(own), Some(theirs), true) => own.is_null() != theirs.is_null(),
            _ => own != theirs,
        }
    };
    let differing = columns.iter().filter(differs);
    let shown = differing.map(|column| {
        let (own, theirs) = (made.get(*column), kongs.get(*column));
        format!("{column}: {own:?} instead of {theirs:?}")
    });
    shown.collect()
}

fn requests() -> Vec<Value> {
    serde_json::from_str(REQUESTS).unwrap()
}

/// The table of an entity.
fn table(entity: &str) -> &str {
    match entity {
        "vaults" => "sm_vaults",
        entity => entity,
    }
}

#[test]
fn requests_to_the_admin_api_write_the_rows_that_kong_writes() {
    let old = cluster_of_kong();
    let cluster = Cluster::new(1);
    // What no request here makes, and the names of what was there.
    let upstreams = old.query("SELECT jsonb_agg(to_jsonb(t)) FROM upstreams t");
    cluster.query(&format!(
        "UPDATE workspaces SET id = '{WORKSPACE}'; INSERT INTO upstreams \
         SELECT * FROM jsonb_populate_recordset(NULL::upstreams, $json${upstreams}$json$)"
    ));
    let [node]: [Node; 1] = cluster.start();
    let mut different = BTreeMap::new();
    for request in requests() {
        let text = |name: &str| request[name].as_str().unwrap();
        let from = now(&cluster);
        let (method, path, status) = match text("path").rsplit_once("/targets/") {
            // A target that is not there yet cannot be put.
            Some((upstream, _)) => ("POST", format!("{upstream}/targets"), 201),
            None => ("PUT", text("path").to_owned(), 200),
        };
        let mut body = request["body"].clone();
        body["id"] = text("id").into();
        let answer = node.admin(method, &path, &body);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let table = table(text("entity"));
        let made = rows(&cluster, table);
        let kongs = rows(&old, table);
        let id = text("id");
        let found = differences(&made[id], &kongs[id], (&from, &now(&cluster)));
        if !found.is_empty() {
            different.insert(text("path").to_owned(), found);
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    // Kong's triggers keep its table of tags.
    let expected = rows(&old, "tags");
    for (id, row) in rows(&cluster, "tags") {
        assert_eq!(Some(&row), expected.get(&id), "{id}");
    }
}

fn with_key(node: &Node, path: &str, key: &str) -> Answer {
    let mut client: Client = node.client().with_patience(PATIENCE);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\nx-ver: 1\r\n{key}\r\n"
    ));
    client.receive()
}

/// Makes a change through the Admin API, and compares what it did to the row with what Kong does.
fn change(cluster: &Cluster, node: &Node, table: &str, path: &str, body: &Value, changed: &Value) {
    let id = path.rsplit('/').next().unwrap();
    let mut expected = rows(cluster, table);
    let from = now(cluster);
    let answer = node.admin("PATCH", path, body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let row = expected.get_mut(id).unwrap();
    row.extend(changed.as_object().cloned().unwrap());
    let made = rows(cluster, table);
    let found = differences(&made[id], row, (&from, &now(cluster)));
    // What was made before is not made now.
    let found: Vec<_> = found
        .into_iter()
        .filter(|text| {
            !text.starts_with("created_at") || made[id]["created_at"] != row["created_at"]
        })
        .collect();
    assert!(found.is_empty(), "{path}: {found:#?}");
    let others = |mut rows: BTreeMap<String, Map<String, Value>>| {
        rows.remove(id);
        rows
    };
    assert_eq!(others(made), others(expected), "{path}");
}

#[test]
fn a_database_of_kong_is_served_and_changed_as_kong_does() {
    let backend = Backend::saying("here");
    let cluster = cluster_of_kong();
    let [node]: [Node; 1] = cluster.start();
    // Its own additions were made by the node, with the prefix that Kong ignores.
    assert_ne!(count_of_ours(&cluster), "0");
    let list = |path: &str| node.configure("GET", path, &Value::Null)["data"].clone();
    assert_eq!(list("/services").as_array().unwrap().len(), 3);
    assert_eq!(list("/plugins").as_array().unwrap().len(), 9);
    let port = backend.address().port();
    // What is not about this test: a target that nobody has, and plugins that want more than a key.
    let find = |name: &str| {
        let plugins = list("/plugins");
        let mut plugins = plugins.as_array().unwrap().iter();
        let found = plugins.find(|plugin| plugin["name"] == name).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let oauth2 = find("oauth2");
    let answer = node.admin("DELETE", &format!("/plugins/{oauth2}"), &Value::Null);
    assert_eq!(answer.status, 204);
    assert!(!rows(&cluster, "plugins").contains_key(&oauth2));
    for name in ["prometheus", "correlation-id"] {
        let path = format!("/plugins/{}", find(name));
        let off = json!({ "enabled": false });
        change(&cluster, &node, "plugins", &path, &off, &off);
    }

    let service = "/services/157650e2-93f7-40fc-b211-5dc2109e202f";
    let body = json!({ "host": "127.0.0.1", "port": port, "retries": 4, "path": null });
    change(&cluster, &node, "services", service, &body, &body);
    // A key that Kong wrote opens the route that Kong wrote; another one does not.
    for (key, status) in [
        ("", 401),
        ("apikey: wrong\r\n", 401),
        ("apikey: alice-key\r\n", 200),
    ] {
        let answer = with_key(&node, "/one", key);
        assert_eq!(answer.status, status, "{key}: {}", answer.text());
    }
    let received = backend.received();
    assert_eq!(received[0].header("x-consumer-username"), Some("alice"));
    assert_eq!(received[0].header("host"), Some("a.test"));

    let route = "/routes/329de7b7-933f-41a6-8129-960fb304f1d0";
    let body = json!({ "headers": { "x-b": ["1"] }, "paths": ["/two"], "methods": null });
    change(&cluster, &node, "routes", route, &body, &body);
    let target = format!("/upstreams/{UPSTREAM}/targets/64012fb6-5792-40f0-b358-9dc0b84c044c");
    let body = json!({ "weight": 5 });
    change(&cluster, &node, "targets", &target, &body, &body);
    let plugin = format!("/plugins/{}", find("key-auth"));
    change(
        &cluster,
        &node,
        "plugins",
        &plugin,
        &json!({ "route": null, "config": { "key_in_body": true } }),
        &json!({
            "route_id": null,
            "cache_key": format!("plugins:key-auth:::::{WORKSPACE}"),
            "config": {
                "realm": null, "anonymous": null, "key_names": ["apikey"], "key_in_body": true,
                "key_in_query": true, "key_in_header": true, "hide_credentials": false,
                "run_on_preflight": true,
            },
        }),
    );
    let consumer = "/consumers/5338d6fd-21ab-423e-b000-d90b22f278b3";
    let body = json!({ "tags": [], "custom_id": "a-2" });
    change(&cluster, &node, "consumers", consumer, &body, &body);
    // A consumer takes everything along that hangs on it.
    assert_eq!(node.admin("DELETE", consumer, &Value::Null).status, 204);
    for table in [
        "acls",
        "jwt_secrets",
        "keyauth_credentials",
        "basicauth_credentials",
    ] {
        assert!(rows(&cluster, table).is_empty(), "{table}");
    }
    assert_eq!(rows(&cluster, "consumers").len(), 1);
}
