use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use schema::{Field, Schema, Subschema, Subschemas};
use serde_json::{Value, json};
use stdx::ManualClock;
use store::Catalog;

use crate::{Config, Context, Document, Errors, Format};

/// One plugin without settings of its own kind, for the places where plugins stand.
struct Plugins(Subschema);

impl Plugins {
    fn new() -> Self {
        let config = Field::record(
            "Settings.",
            vec![
                ("limit", Field::integer("A limit.").required()),
                ("word", Field::string("A word.")),
            ],
        );
        Self(Subschema::new("limiter").field_as("config", config.required()))
    }
}

impl Subschemas for Plugins {
    fn find(&self, entity: &str, choice: &str) -> Option<&Subschema> {
        let core = entities::for_flavor(entities::RouterFlavor::default());
        match (entity, choice) {
            ("plugins", "limiter") => Some(&self.0),
            _ => core.find(entity, choice),
        }
    }

    fn entity(&self, name: &str) -> Option<&Schema> {
        entities::get(name)
    }
}

fn parse_bytes(text: &[u8]) -> Result<Config, Errors> {
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let context = Context {
        catalog: &Catalog::new(entities::all()),
        subschemas: &Plugins::new(),
        clock: &clock,
    };
    Document::read(text, Format::Auto)?.parse(&context)
}

fn parse(text: &str) -> Result<Config, Errors> {
    parse_bytes(text.as_bytes())
}

fn good(text: &str) -> Value {
    match parse(text) {
        Ok(config) => serde_json::from_str(&config.to_json()).expect("JSON"),
        Err(errors) => panic!("{errors}"),
    }
}

fn wrong(text: &str) -> Value {
    Value::Object(parse(text).unwrap_err().fields().clone())
}

/// The only record of an entity.
fn only(config: &Value, entity: &str) -> Value {
    let records = config[entity].as_object().unwrap();
    assert_eq!(records.len(), 1);
    records.values().next().unwrap().clone()
}

#[test]
fn nested_entities_become_records_that_point_at_their_parents() {
    let config = good(
        r#"
_format_version: "3.0"
_comment: all of it
services:
- name: my-service
  url: http://example.test/base
  _comment: a service
  _ignore: [anything, {at: all}]
  routes:
  - name: my-route
    paths: [/x]
    plugins:
    - name: limiter
      config: {limit: 5}
upstreams:
- name: my-upstream
  targets:
  - target: 127.0.0.1:1
"#,
    );
    let service = only(&config, "services");
    assert_eq!(service["id"], "0855b320-0dd2-547d-891d-601e9b38647f");
    assert_eq!(service["host"], "example.test");
    assert_eq!(service["created_at"], 1_700_000_000);
    let route = only(&config, "routes");
    assert_eq!(route["id"], "481a9539-f49c-51b6-b2e2-fe99ee68866c");
    assert_eq!(route["service"], json!({"id": service["id"]}));
    let plugin = only(&config, "plugins");
    assert_eq!(plugin["route"], json!({"id": route["id"]}));
    assert_eq!(plugin["service"], Value::Null);
    assert_eq!(plugin["config"], json!({"limit": 5, "word": null}));
    let target = only(&config, "targets");
    assert_eq!(target["upstream"]["id"], only(&config, "upstreams")["id"]);
}

#[test]
fn references_go_by_name_or_by_id_and_in_any_order() {
    let config = good(
        r#"
_format_version: "3.0"
plugins:
- {name: limiter, config: {limit: 1}, route: by-name, consumer: bob}
routes:
- {name: by-name, paths: [/a], service: my-service}
- {name: by-id, paths: [/b], service: 0855b320-0dd2-547d-891d-601e9b38647f}
- {name: by-record, paths: [/c], service: {id: 0855b320-0dd2-547d-891d-601e9b38647f}}
- {name: none, paths: [/d], service: null}
services:
- {name: my-service, host: a.test}
consumers:
- username: bob
"#,
    );
    let mut services: Vec<_> = config["routes"]
        .as_object()
        .unwrap()
        .values()
        .map(|route| (route["name"].clone(), route["service"]["id"].clone()))
        .collect();
    services.sort_by_key(|(name, _)| name.to_string());
    let id = json!("0855b320-0dd2-547d-891d-601e9b38647f");
    let expected = [
        (json!("by-id"), id.clone()),
        (json!("by-name"), id.clone()),
        (json!("by-record"), id),
        (json!("none"), Value::Null),
    ];
    assert_eq!(services, expected);
    let plugin = only(&config, "plugins");
    assert_eq!(plugin["consumer"]["id"], only(&config, "consumers")["id"]);
}

#[test]
fn the_same_text_gives_the_same_ids() {
    let text = r#"
_format_version: "3.0"
services:
- host: a.test
  routes: [{paths: [/x]}, {paths: [/x]}, {paths: [/y], plugins: [{name: limiter, config: {limit: 1}}]}]
"#;
    assert_eq!(good(text), good(text));
    assert_eq!(good(text)["routes"].as_object().unwrap().len(), 3);
}

#[test]
fn paths_of_older_formats_are_migrated_before_they_are_checked() {
    for (version, expected) in [
        ("1.1", "~/regex.+"),
        ("2.1", "~/regex.+"),
        ("3.0", "/regex.+"),
    ] {
        let top = format!("_format_version: '{version}'\nroutes: [{{name: r, paths: [/regex.+]}}]");
        let nested = format!(
            "_format_version: '{version}'\nservices: [{{host: a, routes: [{{paths: [/regex.+]}}]}}]"
        );
        for text in [top, nested] {
            assert_eq!(only(&good(&text), "routes")["paths"], json!([expected]));
        }
    }
    let broken = "_format_version: '2.1'\nroutes: [{name: r, paths: ['/regex.+(']}]";
    assert!(parse(broken).unwrap_err().to_string().contains("regex"));
}

#[test]
fn yaml_words_are_booleans_where_a_boolean_belongs() {
    let text = r#"
_format_version: "3.0"
routes: [{name: "on", paths: [/x], strip_path: off, preserve_host: "yes"}]
"#;
    let route = only(&good(text), "routes");
    assert_eq!(
        (&route["strip_path"], &route["preserve_host"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(route["name"], "on");
    let json = r#"{"_format_version": "3.0", "routes": [{"paths": ["/x"], "strip_path": "off"}]}"#;
    assert_eq!(wrong(json)["routes"][0]["strip_path"], "expected a boolean");
}

#[test]
fn plugins_may_name_a_shared_configuration() {
    let text = r#"
_format_version: "3.0"
_plugin_configs: {shared: {limit: 5, word: shared}}
plugins: [{name: limiter, _config: shared, config: {word: own}}]
"#;
    assert_eq!(
        only(&good(text), "plugins")["config"],
        json!({"limit": 5, "word": "own"})
    );
    let text =
        "{_format_version: '3.0', plugins: [{name: limiter, config: {limit: 1}, _config: x}]}";
    assert!(wrong(text)["plugins"][0]["_config"].is_string());
}

#[test]
fn the_header_is_checked() {
    let cases = [
        ("{}", json!({"_format_version": "required field missing"})),
        (
            "_format_version: 1.1",
            json!({"_format_version": "expected a string"}),
        ),
        (
            "_format_version: foobar",
            json!({"_format_version": "expected one of: 1.1, 2.1, 3.0"}),
        ),
        (
            "{_format_version: '3.0', _comment: 1234}",
            json!({"_comment": "expected a string"}),
        ),
        (
            "{_format_version: '3.0', _ignore: {a: b}}",
            json!({"_ignore": "expected an array"}),
        ),
        (
            "{_format_version: '3.0', _transform: maybe}",
            json!({"_transform": "expected a boolean"}),
        ),
        (
            "{_format_version: '3.0', strangers: []}",
            json!({"strangers": "unknown field"}),
        ),
        (
            "{_format_version: '3.0', services: foo}",
            json!({"services": "expected an array"}),
        ),
        (
            "{_format_version: '3.0', services: [foo]}",
            json!({"services": ["expected a record"]}),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wrong(text), expected, "{text}");
    }
    let fine = "{_format_version: '3.0', _transform: false, _ignore: [1], services: ~, routes: [], consumers: {}}";
    assert!(parse(fine).unwrap().is_empty());
}

#[test]
fn errors_follow_the_document() {
    let text = "{_format_version: '1.1', services: [{host: fine}, {port: -12}]}";
    let errors = parse(text).unwrap_err();
    let fields = json!({"services": [null, {
        "host": "required field missing", "port": "value should be between 0 and 65535",
    }]});
    let expected = json!({
        "code": 14,
        "name": "invalid declarative configuration",
        "message": "declarative config is invalid: {services={[2]={host=\"required field missing\",\
            port=\"value should be between 0 and 65535\"}}}",
        "fields": fields,
    });
    assert_eq!(errors.to_json(false), expected);
    let lines = "in 'services':\n  - in entry 2 of 'services':\n    in 'host': required field missing\n    \
        in 'port': value should be between 0 and 65535";
    assert_eq!(errors.to_string(), lines);
}

#[test]
fn nested_errors_follow_the_nesting() {
    let text = r#"
_format_version: "3.0"
services:
- host: a.test
  routes:
  - {paths: [/x], plugins: [{enabled: true}, {name: nope}]}
"#;
    let expected = json!({"services": [{"routes": [{"plugins": [
        {"name": "required field missing"},
        {"name": "plugin 'nope' not enabled; add it to the 'plugins' configuration property"},
    ]}]}]});
    assert_eq!(wrong(text), expected);
}

#[test]
fn a_value_that_is_taken_is_a_uniqueness_violation() {
    let id = "0855b320-0dd2-547d-891d-601e9b38647f";
    let cases = [
        (
            "services: [{name: foo, host: a}, {name: foo, host: b}]".to_owned(),
            json!({"services": [null, "uniqueness violation: 'services' entity with name set to 'foo' already declared"]}),
        ),
        (
            format!("services: [{{id: {id}, name: a, host: a}}, {{id: {id}, name: b, host: b}}]"),
            json!({"services": [null, format!(
                "uniqueness violation: 'services' entity with primary key set to '{id}' already declared"
            )]}),
        ),
        (
            "consumers: [{username: foo, custom_id: conflict}, {username: bar, custom_id: conflict}]".to_owned(),
            json!({"consumers": {
                "bar": "uniqueness violation: 'consumers' entity with custom_id set to 'conflict' already declared",
            }}),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wrong(&format!("_format_version: '3.0'\n{text}")), expected);
    }
}

#[test]
fn references_to_nothing_are_listed_by_name() {
    let text = r#"
_format_version: "2.1"
services:
- name: my-service-1
  url: http://localhost:8001/status
  routes:
  - {name: my-route-1, paths: [/status], service: {id: 769bdf51-16df-5476-9830-ef26800b5448}}
plugins:
- {id: 769bdf51-16df-5476-9830-ef26800b5440, name: limiter, config: {limit: 1}, service: svc1, consumer: me}
"#;
    let expected = json!({
        "routes": {"my-route-1": [
            "invalid reference 'service: {\"id\":\"769bdf51-16df-5476-9830-ef26800b5448\"}' (no such entry in 'services')",
        ]},
        "plugins": {"769bdf51-16df-5476-9830-ef26800b5440": [
            "invalid reference 'service: svc1' (no such entry in 'services')",
            "invalid reference 'consumer: me' (no such entry in 'consumers')",
        ]},
    });
    assert_eq!(wrong(text), expected);
}

#[test]
fn errors_can_be_flattened() {
    let text = r#"
_format_version: "3.0"
strangers: 1
services:
- name: outer
  id: 0855b320-0dd2-547d-891d-601e9b38647f
  host: a.test
  tags: [service-01]
  protocol: tcp
  path: /path
  routes:
  - name: ""
    tags: [route-01, 3]
    paths: [/x]
  plugins:
  - name: limiter
    config: {unknown: 1}
upstreams:
- name: bad.test
  host_header: 123
  healthchecks: {active: {concurrency: -1}}
  targets: [{target: "hostname:1.0"}]
"#;
    let body = parse(text).unwrap_err().to_json(true);
    assert_eq!(body["fields"], json!({"strangers": "unknown field"}));
    assert_eq!(
        body["message"],
        "declarative config is invalid: {strangers=\"unknown field\"}"
    );
    let flat = body["flattened_errors"].as_array().unwrap();
    let find = |kind: &str| {
        let found = flat.iter().find(|entry| entry["entity_type"] == kind);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {kind} in {flat:?}"))
    };
    assert_eq!(flat.len(), 5);
    let service = find("service");
    assert_eq!(service["entity_name"], "outer");
    assert_eq!(service["entity_id"], "0855b320-0dd2-547d-891d-601e9b38647f");
    assert_eq!(service["entity_tags"], json!(["service-01"]));
    assert_eq!(service["entity"].get("routes"), None);
    let errors = json!([
        {"type": "entity", "message": "failed conditional validation given value of field 'protocol'"},
        {"type": "field", "field": "path", "message": "value must be null"},
    ]);
    assert_eq!(service["errors"], errors);
    let route = find("route");
    assert_eq!(
        (
            route.get("entity_name"),
            route.get("entity_tags"),
            route.get("entity_id")
        ),
        (None, None, None)
    );
    assert_eq!(
        route["entity"]["service"],
        json!({"id": service["entity_id"]})
    );
    assert!(
        route["errors"]
            .as_array()
            .unwrap()
            .contains(&json!({"type": "field", "field": "tags.2", "message": "expected a string"}))
    );
    let plugin = find("plugin");
    let errors = json!([
        {"type": "field", "field": "config.limit", "message": "required field missing"},
        {"type": "field", "field": "config.unknown", "message": "unknown field"},
    ]);
    assert_eq!(plugin["errors"], errors);
    let upstream = find("upstream");
    assert_eq!(upstream["entity"].get("targets"), None);
    let errors = json!([
        {"type": "field", "field": "healthchecks.active.concurrency", "message": "value should be between 1 and 2147483648"},
        {"type": "field", "field": "host_header", "message": "expected a string"},
    ]);
    assert_eq!(upstream["errors"], errors);
    assert_eq!(find("target")["entity"]["target"], "hostname:1.0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&bytes);
    }

    #[test]
    fn no_tree_makes_it_panic(tree in document()) {
        let text = tree.to_string();
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.is_empty());
            let _ = (errors.to_json(true), errors.to_json(false), errors.to_string());
        }
    }

    #[test]
    fn no_edit_of_a_good_text_makes_it_panic(at in 0..GOOD.len(), cut in 0..40_usize, insert in "[^a]{0,6}") {
        let mut text = GOOD.as_bytes().to_vec();
        let end = (at + cut).min(text.len());
        text.splice(at..end, insert.bytes());
        let _ = parse_bytes(&text);
    }
}

const GOOD: &str = "
_format_version: '2.1'
services: &services
- name: a
  url: http://a.test
  routes:
  - {name: r, paths: [/a, '/\\d+%41'], hosts: ['*.test'], service: a}
  plugins: [{name: limiter, config: {limit: 1}}]
upstreams: [{name: u.test, targets: [{target: 'a.test:1', weight: 5}]}]
consumers: [{username: bob, tags: [x]}]
";

/// Trees with the names that mean something, in places where they may or may not.
fn document() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "services",
        "routes",
        "plugins",
        "name",
        "id",
        "service",
        "paths",
        "config",
        "tags",
        "snis",
        "certificates",
        "upstreams",
        "targets",
        "target",
        "_comment",
        "_config",
        "_plugin_configs",
        "host",
        "consumers",
        "workspaces",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec![
            "a",
            "/x",
            "limiter",
            "%",
            "/(",
            "0855b320-0dd2-547d-891d-601e9b38647f"
        ])
        .prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(
                |fields| Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                )
            ),
        ]
    });
    tree.prop_map(|mut tree| {
        if let Value::Object(fields) = &mut tree {
            fields.insert("_format_version".to_owned(), "2.1".into());
        }
        tree
    })
}
