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
    assert_eq!(recorded(KONG_SCHEMAS).len(), all().len());
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
fn names_are_unique_and_versions_and_priorities_are_kongs() {
    let mut rows: Vec<_> = all().iter().map(|plugin| plugin.declaration).collect();
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
