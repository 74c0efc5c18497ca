//! What holds for every record.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use schema::{Field, Kind, Operation};
use serde_json::{Value, json};

use super::{catalog, prepare, record};

/// Any small JSON value.
fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "/",
            "~/(",
            "a.test",
            "*.a",
            "http",
            "{vault://env/x}",
            "%",
            "::1",
            "[",
            "1.2.3.4:99999"
        ])
        .prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// An entity, and values for some of its fields, of any type.
fn any_record() -> impl Strategy<Value = (&'static str, Value)> {
    let names: Vec<_> = catalog().all().iter().map(|schema| schema.name).collect();
    prop::sample::select(names).prop_flat_map(|entity| {
        let schema = catalog().get(entity).expect("an entity");
        let shorthands = schema
            .shorthands()
            .map(|shorthand| shorthand.name().to_owned());
        let fields: Vec<String> = schema
            .fields()
            .map(|(name, _)| name.to_owned())
            .chain(shorthands)
            .collect();
        let name = prop_oneof![9 => prop::sample::select(fields), 1 => "[a-z]{1,5}"];
        btree_map(name, json_value(), 0..6).prop_map(move |map| (entity, map.into_iter().collect()))
    })
}

fn service() -> impl Strategy<Value = Value> {
    (
        option::of("[a-z][a-z0-9.]{0,8}[a-z]"),
        option::of(0..=32767),
        option::of(prop::sample::select(vec!["http", "https", "tcp", "grpc"])),
        option::of(0..=65535),
        option::of(vec("[a-z]{1,4}", 0..4)),
        option::of(prop::bool::ANY),
    )
        .prop_map(|(name, retries, protocol, port, tags, enabled)| {
            given(json!({
                "host": "a.test", "name": name, "retries": retries, "protocol": protocol, "port": port, "tags": tags,
                "enabled": enabled,
            }))
        })
}

fn upstream() -> impl Strategy<Value = Value> {
    (
        option::of(prop::sample::select(vec!["least-connections", "latency", "round-robin"])),
        option::of(10..=65536),
        option::of((0..=255, option::of(vec(100..=999, 0..3)))),
    )
        .prop_map(|(algorithm, slots, healthy)| {
            let checks = healthy.map(|(successes, statuses)| {
                json!({ "active": { "healthy": given(json!({ "successes": successes, "http_statuses": statuses })) } })
            });
            given(json!({ "name": "a", "algorithm": algorithm, "slots": slots, "healthchecks": checks }))
        })
}

fn route() -> impl Strategy<Value = Value> {
    (
        vec("/[a-z]{1,4}", 1..3),
        option::of(vec("[A-Z]{1,4}", 0..3)),
        option::of(btree_map("[a-z]{1,4}", vec("[a-z]{1,4}", 1..3), 0..3)),
        option::of(-5..5),
    )
        .prop_map(|(paths, methods, headers, priority)| {
            given(json!({ "paths": paths, "methods": methods, "headers": headers, "regex_priority": priority }))
        })
}

/// A record without its nulls.
fn given(value: Value) -> Value {
    record(value)
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// The names that a record has and those that it should have differ.
fn assert_complete(path: &str, fields: &[(&'static str, Field)], value: &Value) {
    for (name, field) in fields {
        let value = value
            .get(*name)
            .unwrap_or_else(|| panic!("{path}.{name} is absent"));
        if let (Kind::Record(shape), Value::Object(_)) = (field.kind(), value)
            && !field.is_abstract()
        {
            assert_complete(&format!("{path}.{name}"), &shape.fields, value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_input_is_either_complete_or_refused((entity, input) in any_record()) {
        for operation in [Operation::Insert, Operation::Upsert, Operation::Update] {
            match prepare(catalog(), entity, operation, input.clone(), None) {
                Ok(prepared) => assert_complete(entity, &catalog().get(entity).expect("an entity").shape.fields, &prepared),
                Err(violations) => prop_assert!(!violations.is_empty() && violations.message().contains('(')),
            }
        }
        let mut form = record(input);
        catalog().get(entity).expect("an entity").coerce_form(&mut form, catalog());
    }

    #[test]
    fn preparing_twice_changes_nothing(service in service(), route in route(), upstream in upstream()) {
        for (entity, input) in [("services", service), ("routes", route), ("upstreams", upstream)] {
            let once = match prepare(catalog(), entity, Operation::Insert, input, None) {
                Ok(once) => once,
                Err(violations) => return Err(TestCaseError::fail(violations.message())),
            };
            prop_assert_eq!(&prepare(catalog(), entity, Operation::Insert, once.clone(), None).expect("the same"), &once);
            let stored = record(once.clone());
            let untouched = prepare(catalog(), entity, Operation::Update, json!({}), Some(&stored));
            prop_assert_eq!(untouched.expect("the same"), once);
        }
    }
}
