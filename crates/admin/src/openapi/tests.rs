use std::collections::BTreeSet;

use super::*;

fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (path, method, operation))
        })
        .filter(|(_, method, _)| *method != "parameters")
        .collect()
}

#[test]
fn operation_ids_are_unique() {
    let document = document(entities::all(), Vec::new());
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn every_operation_documents_a_success_and_has_a_summary() {
    let document = document(entities::all(), Vec::new());
    for (path, method, operation) in operations(&document) {
        let statuses = operation["responses"].as_object().unwrap();
        assert!(
            statuses.keys().any(|status| status.starts_with('2')),
            "{method} {path}"
        );
        assert_ne!(operation["summary"], "", "{method} {path}");
    }
}

#[test]
fn references_lead_somewhere() {
    let document = document(entities::all(), Vec::new());
    let mut queue = vec![&document];
    while let Some(value) = queue.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    assert!(
                        document
                            .pointer(reference.trim_start_matches('#'))
                            .is_some(),
                        "{reference}"
                    );
                }
                queue.extend(fields.values());
            }
            Value::Array(items) => queue.extend(items),
            _ => {}
        }
    }
}

#[test]
fn examples_follow_the_declarations() {
    let subschemas = entities::for_flavor(entities::RouterFlavor::default());
    for schema in entities::all() {
        let Some(example) = example(schema.name) else {
            continue;
        };
        let mut input = example.as_object().cloned().unwrap();
        for (field, _) in schema
            .foreign_fields()
            .filter(|(field, _)| *field == "upstream")
        {
            input.insert(
                field.to_owned(),
                json!({ "id": "7f1c0a52-9d0e-4c1b-8a37-d24a4f6a1b42" }),
            );
        }
        let mut new_id = uuid::Uuid::new_v4;
        let mut context = schema::Context::at(1_700_000_000_000, &mut new_id, subschemas);
        let prepared = schema.prepare(schema::Operation::Insert, input, None, &mut context);
        assert!(prepared.is_ok(), "{}: {prepared:?}", schema.name);
    }
}
