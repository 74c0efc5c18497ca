//! What becomes of a record before it is stored.

use schema::Operation;
use serde_json::{Value, json};

use super::{catalog, insert, material, prepare, record};

#[track_caller]
fn check_fields(entity: &str, input: Value, fields: Value) {
    let prepared = insert(entity, input).expect("a record");
    for (name, value) in record(fields) {
        assert_eq!(prepared[&name], value, "{name}");
    }
}

#[test]
fn a_service_gets_all_its_defaults() {
    assert_eq!(
        insert("services", json!({ "host": "a.test" })),
        Ok(json!({
            "id": "00000000-0000-0000-0000-000000000001",
            "created_at": 1_800_000_000,
            "updated_at": 1_800_000_000,
            "name": null,
            "retries": 5,
            "protocol": "http",
            "host": "a.test",
            "port": 80,
            "path": null,
            "connect_timeout": 60000,
            "write_timeout": 60000,
            "read_timeout": 60000,
            "tags": null,
            "client_certificate": null,
            "tls_verify": null,
            "tls_verify_depth": null,
            "ca_certificates": null,
            "enabled": true,
        }))
    );
}

#[test]
fn a_url_is_split_into_fields() {
    for (url, protocol, host, port, path) in [
        ("http://a.test", "http", "a.test", 80, Value::Null),
        ("https://a.test/x", "https", "a.test", 443, json!("/x")),
        ("https://a.test:80/", "https", "a.test", 80, json!("/")),
        ("//a.test:443", "https", "a.test", 443, Value::Null),
        ("grpc://a.test:9000", "grpc", "a.test", 9000, Value::Null),
        (
            "http://user:secret@a.test:81/x;y?z#w",
            "http",
            "a.test",
            81,
            json!("/x"),
        ),
        ("http://[::1]:81/", "http", "::1", 81, json!("/")),
    ] {
        check_fields(
            "services",
            json!({ "url": url, "port": 1 }),
            json!({ "protocol": protocol, "host": host, "port": port, "path": path }),
        );
    }
}

#[test]
fn a_grpc_route_keeps_its_path_by_default() {
    check_fields(
        "routes",
        json!({ "protocols": ["grpc"], "paths": ["/"] }),
        json!({ "strip_path": false }),
    );
    check_fields(
        "routes",
        json!({ "paths": ["/"] }),
        json!({ "strip_path": true, "protocols": ["http", "https"] }),
    );
}

#[test]
fn hash_inputs_and_algorithms_choose_each_other() {
    let with = |name: &str, value: Value| json!({ "name": "a", name: value });
    for (input, algorithm, hash_on) in [
        (json!({ "name": "a" }), "round-robin", "none"),
        (with("hash_on", json!("ip")), "consistent-hashing", "ip"),
        (with("hash_on", Value::Null), "round-robin", "none"),
        (
            with("algorithm", json!("least-connections")),
            "least-connections",
            "none",
        ),
        (with("algorithm", json!("latency")), "latency", "none"),
    ] {
        check_fields(
            "upstreams",
            input,
            json!({ "algorithm": algorithm, "hash_on": hash_on }),
        );
    }
}

#[test]
fn health_checks_are_filled_in_at_every_level() {
    let prepared = insert(
        "upstreams",
        json!({ "name": "a", "healthchecks": { "active": { "healthy": {} } } }),
    );
    let checks = &prepared.expect("an upstream")["healthchecks"];
    assert_eq!(
        checks["active"]["healthy"],
        json!({ "interval": 0, "http_statuses": [200, 302], "successes": 0 })
    );
    assert_eq!(
        checks["passive"]["unhealthy"]["http_statuses"],
        json!([429, 500, 503])
    );
    assert_eq!(checks["threshold"], 0);
}

#[test]
fn an_update_merges_nested_records_and_replaces_lists() {
    let stored = record(
        insert("upstreams", json!({ "name": "a", "tags": ["x", "y"] })).expect("an upstream"),
    );
    let change =
        json!({ "tags": ["z"], "healthchecks": { "passive": { "unhealthy": { "timeouts": 3 } } } });
    let updated = prepare(
        catalog(),
        "upstreams",
        Operation::Update,
        change,
        Some(&stored),
    )
    .expect("an upstream");
    let mut expected = stored;
    expected["tags"] = json!(["z"]);
    expected["healthchecks"]["passive"]["unhealthy"]["timeouts"] = json!(3);
    assert_eq!(record(updated), expected);
}

#[test]
fn targets_are_normalized() {
    let upstream = json!({ "id": "5d0d6b1e-0a3c-4f10-9f0b-3c0e4a9a0032" });
    for (target, normal) in [
        ("a.test", "a.test:8000"),
        ("1.2.3.4:80", "1.2.3.4:80"),
        ("[::1]:80", "[0000:0000:0000:0000:0000:0000:0000:0001]:80"),
    ] {
        check_fields(
            "targets",
            json!({ "target": target, "upstream": upstream }),
            json!({ "target": normal, "weight": 100, "created_at": 1_800_000_000.123 }),
        );
    }
}

#[test]
fn an_authority_gets_a_digest() {
    let ca = material::authority();
    let prepared = insert("ca_certificates", json!({ "cert": ca.cert })).expect("an authority");
    let digest = prepared["cert_digest"].as_str().expect("a digest");
    assert!(digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let other = insert(
        "ca_certificates",
        json!({ "cert": material::authority().cert }),
    )
    .expect("an authority");
    assert_ne!(other["cert_digest"], digest);
}

#[test]
fn a_vault_gets_the_settings_of_its_sort() {
    check_fields(
        "vaults",
        json!({ "name": "env", "prefix": "my-env" }),
        json!({ "config": { "prefix": null } }),
    );
}

#[test]
fn form_fields_get_their_types() {
    let mut form = record(json!({
        "hosts": "a.test", "strip_path": "false", "regex_priority": "5", "service": { "id": "x" },
        "sources": [{ "port": "80" }], "name": "",
    }));
    catalog()
        .get("routes")
        .expect("routes")
        .coerce_form(&mut form, catalog());
    assert_eq!(
        Value::Object(form),
        json!({
            "hosts": ["a.test"], "strip_path": false, "regex_priority": 5, "service": { "id": "x" },
            "sources": [{ "port": 80 }], "name": null,
        })
    );
    let mut form = record(json!({ "url": "http://a.test", "port": "80", "retries": "many" }));
    catalog()
        .get("services")
        .expect("services")
        .coerce_form(&mut form, catalog());
    assert_eq!(
        Value::Object(form),
        json!({ "url": "http://a.test", "port": 80, "retries": "many" })
    );
}
