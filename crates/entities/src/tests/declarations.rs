//! Declarations say what Kong's say.

use schema::{Field, Kind, Rule, Shape};
use serde_json::Value;

use super::{NOW_MILLIS, catalog};
use crate::{RouterFlavor, for_flavor};

/// A declaration without its descriptions, which are our own.
fn facts(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, value)| !(name == "description" && value.is_string()))
            .map(|(name, value)| (name, facts(value)))
            .collect(),
        Value::Array(elements) => elements.into_iter().map(facts).collect(),
        scalar => scalar,
    }
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn each_declaration_is_that_of_kong() {
    let recordings = [
        (
            "ca_certificates",
            include_str!("recorded/ca_certificates.json"),
        ),
        ("certificates", include_str!("recorded/certificates.json")),
        (
            "clustering_data_planes",
            include_str!("recorded/clustering_data_planes.json"),
        ),
        ("consumers", include_str!("recorded/consumers.json")),
        ("filter_chains", include_str!("recorded/filter_chains.json")),
        ("key_sets", include_str!("recorded/key_sets.json")),
        ("keys", include_str!("recorded/keys.json")),
        ("parameters", include_str!("recorded/parameters.json")),
        ("plugins", include_str!("recorded/plugins.json")),
        (
            "ratelimiting_metrics",
            include_str!("recorded/ratelimiting_metrics.json"),
        ),
        ("routes", include_str!("recorded/routes.json")),
        ("services", include_str!("recorded/services.json")),
        ("snis", include_str!("recorded/snis.json")),
        ("tags", include_str!("recorded/tags.json")),
        ("targets", include_str!("recorded/targets.json")),
        ("upstreams", include_str!("recorded/upstreams.json")),
        ("vaults", include_str!("recorded/vaults.json")),
        ("workspaces", include_str!("recorded/workspaces.json")),
    ];
    const DESCRIBED_ONLY: usize = 1;
    assert_eq!(recordings.len(), catalog().all().len() + DESCRIBED_ONLY);
    for (name, text) in recordings {
        let schema = catalog().get(name).or_else(|| crate::described(name));
        let schema = schema.expect("a declaration");
        let (ours, theirs) = (facts(schema.declared_json()), recorded(text));
        assert_eq!(ours["entity_checks"], theirs["entity_checks"], "{name}");
        let fields =
            |declaration: &Value| declaration["fields"].as_array().cloned().expect("fields");
        for (ours, theirs) in fields(&ours).iter().zip(&fields(&theirs)) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(fields(&ours).len(), fields(&theirs).len(), "{name}");
    }
}

#[test]
fn a_declaration_in_use_shows_what_is_implied() {
    let schema = catalog().get("routes").expect("routes");
    assert_eq!(
        facts(schema.to_json()),
        recorded(include_str!("recorded/routes_in_use.json"))
    );
}

#[test]
fn only_expression_routes_have_expressions() {
    let names = |flavor| -> Vec<_> {
        for_flavor(flavor)
            .get("routes")
            .expect("routes")
            .fields()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(
        names(RouterFlavor::Traditional),
        names(RouterFlavor::TraditionalCompatible)
    );
    let expressions = names(RouterFlavor::Expressions);
    assert_eq!(
        expressions.len(),
        names(RouterFlavor::Traditional).len() + 2
    );
    assert!(expressions.ends_with(&["expression", "priority"]));
}

/// Calls `visit` with each field, its path and whether it is named, as elements of lists are not.
fn walk(shape: &Shape, path: &str, visit: &mut dyn FnMut(&str, &Field, bool)) {
    for (name, field) in &shape.fields {
        walk_field(field, &format!("{path}.{name}"), true, visit);
    }
}

fn walk_field(field: &Field, path: &str, named: bool, visit: &mut dyn FnMut(&str, &Field, bool)) {
    visit(path, field, named);
    match field.kind() {
        Kind::Array(elements) | Kind::Set(elements) => walk_field(elements, path, false, visit),
        Kind::Map { keys, values } => {
            walk_field(keys, path, false, visit);
            walk_field(values, path, false, visit);
        }
        Kind::Record(shape) => walk(shape, path, visit),
        _ => {}
    }
}

fn walk_all(visit: &mut dyn FnMut(&str, &Field, bool)) {
    for flavor in [
        RouterFlavor::Traditional,
        RouterFlavor::TraditionalCompatible,
        RouterFlavor::Expressions,
    ] {
        let catalog = for_flavor(flavor);
        for schema in catalog.all() {
            walk(&schema.shape, schema.name, visit);
            for (name, choice) in schema.subschema.iter().flat_map(|key| &key.choices) {
                walk(&choice.shape, &format!("{}/{name}", schema.name), visit);
            }
        }
        for vault in catalog.vaults() {
            walk(&vault.shape, vault.name, visit);
        }
    }
}

#[test]
fn every_field_is_described_in_a_sentence() {
    walk_all(&mut |path, field, named| {
        let description = field.description();
        assert!(
            !named || description.ends_with('.'),
            "{path}: {description:?}"
        );
    });
    for schema in catalog().all() {
        assert!(schema.description.ends_with('.'), "{}", schema.name);
    }
}

#[test]
fn every_declared_pattern_translates() {
    let mut count = 0;
    walk_all(&mut |path, field, _| {
        for rule in field.rules() {
            let patterns: Vec<_> = match rule {
                Rule::Match(pattern) | Rule::NotMatch(pattern) => vec![pattern],
                Rule::MatchAny { patterns, .. } => patterns.iter().collect(),
                Rule::MatchNone(patterns) | Rule::MatchAll(patterns) => {
                    patterns.iter().map(|(pattern, _)| pattern).collect()
                }
                _ => Vec::new(),
            };
            count += patterns.len();
            for pattern in patterns {
                assert!(pattern.is_valid(), "{path}: {}", pattern.as_str());
            }
        }
    });
    assert!(count > 20);
}

#[test]
fn references_lead_to_entities_that_come_before() {
    let mut known: Vec<&str> = Vec::new();
    for schema in catalog().all() {
        for (name, foreign) in schema.foreign_fields() {
            // Keys point at key sets, plugins at routes, and so on: an import in this order never misses a record.
            assert!(known.contains(&foreign.reference), "{}.{name}", schema.name);
        }
        known.push(schema.name);
    }
}

#[test]
fn endpoint_keys_name_fields() {
    for schema in catalog().all() {
        let names = schema
            .endpoint_key
            .into_iter()
            .chain([schema.primary_key])
            .chain(schema.cache_key.iter().copied());
        for name in names {
            assert!(schema.field(name).is_some(), "{}.{name}", schema.name);
        }
    }
}

#[test]
fn defaults_are_fine_by_their_own_rules() {
    let mut new_id = uuid::Uuid::nil;
    let mut context = schema::Context::at(NOW_MILLIS, &mut new_id, catalog());
    for schema in catalog().all() {
        for (name, field) in schema.fields() {
            let Some(default) = field.default_value() else {
                continue;
            };
            assert_eq!(
                schema.validate_field(name, default, &mut context),
                Ok(()),
                "{}.{name}",
                schema.name
            );
        }
    }
}
