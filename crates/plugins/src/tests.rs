//! What holds for every row of the table.

use std::collections::HashSet;

use entities::RouterFlavor;
use schema::{Context, Kind, Operation, Record, Subschemas};
use serde_json::{Value, json};

use super::*;

const KONG_SCHEMAS: &str = include_str!("tests/kong_schemas.jsonl");
const KONG_ENTITIES: &str = include_str!("tests/kong_entities.jsonl");
const KONG_PRIORITIES: &str = include_str!("tests/kong_priorities.tsv");

fn recorded(lines: &str) -> Vec<(String, Value)> {
    lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (
                line["name"].as_str().unwrap().to_owned(),
                line["schema"].clone(),
            )
        })
        .collect()
}

/// The same without the descriptions, which are in everybody's own words.
fn undescribed(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if map.get("description").is_some_and(Value::is_string) {
                    map.remove("description");
                }
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            Value::Number(number) => {
                // A whole number is the same with and without a fraction.
                if let Some(float) = number.as_f64() {
                    *value = json!(float);
                }
            }
            _ => {}
        }
    }
    strip(&mut value);
    value
}

#[track_caller]
fn check_same(what: &str, path: &str, ours: &Value, kongs: &Value) -> usize {
    if ours == kongs {
        return 0;
    }
    let children: Vec<(String, &Value, &Value)> = match (ours, kongs) {
        (Value::Object(ours), Value::Object(kongs)) => {
            let names: HashSet<_> = ours.keys().chain(kongs.keys()).collect();
            names
                .into_iter()
                .map(|name| {
                    (
                        name.clone(),
                        ours.get(name).unwrap_or(&Value::Null),
                        kongs.get(name).unwrap_or(&Value::Null),
                    )
                })
                .collect()
        }
        (Value::Array(ours), Value::Array(kongs)) if ours.len() == kongs.len() => ours
            .iter()
            .zip(kongs)
            .enumerate()
            .map(|(at, (ours, kongs))| (at.to_string(), ours, kongs))
            .collect(),
        _ => {
            println!("{what}{path}: {ours}, Kong has {kongs}");
            return 1;
        }
    };
    children
        .into_iter()
        .map(|(name, ours, kongs)| check_same(what, &format!("{path}.{name}"), ours, kongs))
        .sum::<usize>()
        .max(1)
}

#[test]
fn every_configuration_is_declared_as_in_kong() {
    let mut differences = 0;
    for (name, kongs) in recorded(KONG_SCHEMAS) {
        let ours = (get(&name).unwrap().declaration.schema)();
        assert_eq!(ours.name, name);
        differences += check_same(
            &name,
            "",
            &undescribed(ours.declared_json()),
            &undescribed(kongs),
        );
    }
    assert_eq!(differences, 0);
}

#[test]
fn every_entity_of_a_plugin_is_declared_as_in_kong() {
    let mut differences = 0;
    let catalog = catalog(RouterFlavor::default());
    for (name, kongs) in recorded(KONG_ENTITIES) {
        let ours = catalog.get(&name).unwrap();
        differences += check_same(
            &name,
            "",
            &undescribed(ours.declared_json()),
            &undescribed(kongs),
        );
    }
    assert_eq!(differences, 0);
}

#[test]
fn names_are_unique() {
    let names: HashSet<_> = all().iter().map(|plugin| plugin.declaration.name).collect();
    assert_eq!(names.len(), all().len());
}

/// Kong's plugins are all there; others may be among them.
#[test]
fn versions_and_priorities_of_kongs_plugins_are_kongs() {
    let kongs: HashSet<_> = recorded(KONG_SCHEMAS)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let rows = all().iter().map(|plugin| plugin.declaration);
    let mut rows: Vec<_> = rows.filter(|row| kongs.contains(row.name)).collect();
    rows.sort_by_key(|row| -row.priority);
    let ours: Vec<_> = rows
        .iter()
        .map(|row| format!("{}\t{}\t{}", row.name, row.priority, row.version))
        .collect();
    assert_eq!(ours, KONG_PRIORITIES.lines().collect::<Vec<_>>());
}

#[test]
fn every_setting_is_described() {
    fn check(path: &str, shape: &schema::Shape) {
        for (name, field) in &shape.fields {
            let path = format!("{path}.{name}");
            assert!(!field.description().is_empty(), "{path} has no description");
            match field.kind() {
                Kind::Record(shape) => check(&path, shape),
                Kind::Array(part) | Kind::Set(part) | Kind::Map { values: part, .. } => {
                    if let Kind::Record(shape) = part.kind() {
                        check(&path, shape);
                    }
                }
                _ => {}
            }
        }
    }
    for plugin in all() {
        let schema = (plugin.declaration.schema)();
        check(plugin.declaration.name, &schema.shape);
        assert!(!plugin.declaration.phases.is_empty());
    }
}

#[test]
fn an_unknown_setting_is_refused() {
    let catalog = catalog(RouterFlavor::default());
    let schema = catalog.get("plugins").unwrap();
    for plugin in all() {
        let name = plugin.declaration.name;
        let input = json!({ "name": name, "config": { "no_such_setting": 1 } });
        let Value::Object(input) = input else {
            unreachable!("an object")
        };
        let errors = prepare(schema, input).unwrap_err();
        assert_eq!(
            errors["config"]["no_such_setting"], "unknown field",
            "{name}: {errors}"
        );
    }
}

fn prepare(schema: &schema::Schema, input: Record) -> Result<Record, Value> {
    prepare_with(catalog(RouterFlavor::default()), schema, input)
}

fn prepare_with(
    subschemas: &dyn Subschemas,
    schema: &schema::Schema,
    input: Record,
) -> Result<Record, Value> {
    let mut id = || uuid::Uuid::from_u128(1);
    let mut context = Context::at(1_700_000_000_000, &mut id, subschemas);
    schema
        .prepare(Operation::Insert, input, None, &mut context)
        .map_err(|violations| violations.to_json())
}

#[test]
fn the_setting_plugins_names_all_some_or_none() {
    let names = |list: &[&str]| {
        let list: Vec<_> = list.iter().map(|name| (*name).to_owned()).collect();
        (Enabled::of(&list), Enabled::check(&list))
    };
    assert_eq!(names(&[]).0.plugins().count(), 0);
    assert_eq!(names(&["bundled"]), (Enabled::bundled(), Ok(())));
    let (two, _) = names(&["key-auth", "acl"]);
    assert!(two.contains("acl") && !two.contains("jwt") && two.plugins().count() == 2);
    let unknown = UnknownPlugin("my-own".to_owned());
    assert_eq!(names(&["acl", "my-own"]).1, Err(unknown));
}

#[test]
fn what_needs_a_database_is_refused_without_one() {
    let input = |name: &str, config: Value| {
        Record::from_iter([
            ("name".to_owned(), name.into()),
            ("config".to_owned(), config),
        ])
    };
    let without = catalog_without_database(RouterFlavor::default());
    let schema = without.get("plugins").unwrap();
    for (name, config, error) in [
        (
            "rate-limiting",
            json!({ "minute": 1, "policy": "cluster" }),
            json!({ "config": { "policy": "expected one of: local, redis" } }),
        ),
        (
            "response-ratelimiting",
            json!({ "limits": { "video": { "minute": 1 } }, "policy": "cluster" }),
            json!({ "config": { "policy": "expected one of: local, redis" } }),
        ),
        (
            "acme",
            json!({ "account_email": "a@b.test", "storage": "kong" }),
            json!({ "@entity": ["\"kong\" storage can't be used with dbless mode"] }),
        ),
    ] {
        assert!(
            prepare(schema, input(name, config.clone())).is_ok(),
            "{name}"
        );
        let refused = prepare_with(without, schema, input(name, config));
        assert_eq!(refused.unwrap_err(), error);
    }
}

/// What the plugins need that cannot do without any setting.
const NEEDED: &[(&str, &str)] = &[
    ("acl", r#"{ "allow": ["a"] }"#),
    ("acme", r#"{ "account_email": "a@example.test" }"#),
    (
        "ai-prompt-decorator",
        r#"{ "prompts": { "prepend": [{ "role": "system", "content": "x" }] } }"#,
    ),
    ("ai-prompt-guard", r#"{ "deny_patterns": ["x"] }"#),
    (
        "ai-prompt-template",
        r#"{ "templates": [{ "name": "a", "template": "{}" }] }"#,
    ),
    (
        "ai-proxy",
        r#"{ "route_type": "llm/v1/chat", "model": { "provider": "openai" }, "auth": { "header_name": "a", "header_value": "b" } }"#,
    ),
    ("ai-request-transformer", AI_TRANSFORMER),
    ("ai-response-transformer", AI_TRANSFORMER),
    (
        "aws-lambda",
        r#"{ "function_name": "f", "aws_region": "eu-west-1" }"#,
    ),
    (
        "azure-functions",
        r#"{ "functionname": "f", "appname": "a" }"#,
    ),
    ("file-log", r#"{ "path": "/dev/null" }"#),
    (
        "http-log",
        r#"{ "http_endpoint": "http://127.0.0.1:1/log" }"#,
    ),
    ("ip-restriction", r#"{ "allow": ["127.0.0.1"] }"#),
    (
        "ldap-auth",
        r#"{ "ldap_host": "127.0.0.1", "base_dn": "dc=one", "attribute": "cn" }"#,
    ),
    ("loggly", r#"{ "key": "token" }"#),
    ("oauth2", r#"{ "enable_client_credentials": true }"#),
    ("opentelemetry", r#"{ "endpoint": "http://127.0.0.1:1/" }"#),
    ("post-function", r#"{ "log": ["return"] }"#),
    ("pre-function", r#"{ "log": ["return"] }"#),
    ("proxy-cache", r#"{ "strategy": "memory" }"#),
    ("rate-limiting", r#"{ "minute": 1 }"#),
    ("redirect", r#"{ "location": "https://example.test/" }"#),
    (
        "response-ratelimiting",
        r#"{ "limits": { "video": { "minute": 1 } } }"#,
    ),
    ("standard-webhooks", r#"{ "secret_v1": "c2VjcmV0" }"#),
    ("tcp-log", r#"{ "host": "127.0.0.1", "port": 1 }"#),
    ("udp-log", r#"{ "host": "127.0.0.1", "port": 1 }"#),
    ("zipkin", r#"{ "http_endpoint": "http://127.0.0.1:1/" }"#),
];

const AI_TRANSFORMER: &str = r#"{ "prompt": "x", "llm": { "route_type": "llm/v1/chat", "auth": { "header_name": "a", "header_value": "b" },
    "model": { "provider": "openai", "name": "m", "options": { "upstream_url": "http://127.0.0.1:1/" } } } }"#;

/// A record of a plugin with what it needs and the defaults.
fn smallest(name: &str) -> Record {
    let needed = NEEDED.iter().find(|(of, _)| *of == name);
    let config = needed.map_or("{}", |(_, config)| config);
    let config: Value = serde_json::from_str(config).expect(name);
    let input = Record::from_iter([
        ("name".to_owned(), name.into()),
        ("config".to_owned(), config),
    ]);
    let catalog = catalog(RouterFlavor::default());
    let schema = catalog.get("plugins").expect("the entity");
    prepare(schema, input).unwrap_or_else(|errors| panic!("{name}: {errors}"))
}

#[test]
fn the_defaults_of_every_plugin_are_valid_and_stay_what_they_are() {
    for plugin in all() {
        let name = plugin.declaration.name;
        let record = smallest(name);
        let again = Record::from_iter([
            ("name".to_owned(), name.into()),
            ("config".to_owned(), record["config"].clone()),
        ]);
        let catalog = catalog(RouterFlavor::default());
        let schema = catalog.get("plugins").expect("the entity");
        let again = prepare(schema, again).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_eq!(again["config"], record["config"], "{name}");
    }
}

#[tokio::test]
async fn every_handler_is_made_of_the_defaults_and_works_in_declared_phases_only() {
    use plugin_api::Phase;
    use plugin_api::testing::{FakeRecords, build, services};

    let services = services(FakeRecords::default());
    for plugin in all() {
        let (name, Some(make)) = (plugin.declaration.name, plugin.build) else {
            continue;
        };
        let config = smallest(name)["config"].clone();
        let handler =
            build(make, &config, &services).unwrap_or_else(|error| panic!("{name}: {error}"));
        let needs = handler.needs();
        for phase in Phase::ALL {
            let declared = plugin.declaration.phases.contains(phase);
            assert!(
                declared || !needs.phases.contains(phase),
                "{name} works in {}",
                phase.name()
            );
        }
    }
}

#[test]
fn every_plugin_that_runs_has_a_readme_for_users() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for plugin in all().iter().filter(|plugin| plugin.build.is_some()) {
        let name = plugin.declaration.name;
        let folders = [
            "auth",
            "traffic",
            "transform",
            "observe",
            "serverless",
            "ai",
        ]
        .map(|family| crates.join(format!("plugins-{family}/src/{}", name.replace('-', "_"))));
        let folder = folders.iter().find(|folder| folder.exists());
        let folder = folder.unwrap_or_else(|| panic!("{name} has no folder"));
        let readme = std::fs::read_to_string(folder.join("README.md"));
        let readme = readme.unwrap_or_else(|error| panic!("{name} has no README.md: {error}"));
        assert!(
            readme.starts_with(&format!("# {name}\n")),
            "{name}: the title is another"
        );
        assert!(readme.contains("curl"), "{name}: there is no example");
    }
}

#[test]
fn the_page_of_plugins_has_a_row_for_each() {
    let page = reference_markdown();
    for plugin in all() {
        let start = format!("\n| `{}` | ", plugin.declaration.name);
        assert!(page.contains(&start), "{start}");
    }
    let row = |name: &str| {
        let start = format!("| `{name}` |");
        page.lines()
            .find(|line| line.starts_with(&start))
            .expect("a row")
            .to_owned()
    };
    assert!(
        row("key-auth").ends_with(
            "| 3.9.1 | 1250 | access | route, service | grpc, grpcs, http, https | yes |"
        )
    );
    assert!(row("rate-limiting").contains("| route, service, consumer |"));
}
