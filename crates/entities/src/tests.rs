//! The core entities against recorded facts and tables of inputs.

mod declarations;
mod errors;
mod material;
mod preparing;
mod properties;
mod route_errors;

use schema::{Context, Operation, Record, Violations};
use serde_json::Value;
use uuid::Uuid;

use crate::{Catalog, RouterFlavor, for_flavor};

const NOW_MILLIS: i64 = 1_800_000_000_123;

fn catalog() -> &'static Catalog {
    for_flavor(RouterFlavor::TraditionalCompatible)
}

fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        other => panic!("{other} is no record"),
    }
}

/// Prepares a record of an entity, with ids that count up from one.
fn prepare(
    catalog: &Catalog,
    entity: &str,
    operation: Operation,
    input: Value,
    stored: Option<&Record>,
) -> Result<Value, Violations> {
    let mut last = 0;
    let mut new_id = || {
        last += 1;
        Uuid::from_u128(last)
    };
    let mut context = Context::at(NOW_MILLIS, &mut new_id, catalog);
    let schema = catalog.get(entity).expect("an entity");
    schema
        .prepare(operation, record(input), stored, &mut context)
        .map(Value::Object)
}

fn insert(entity: &str, input: Value) -> Result<Value, Violations> {
    prepare(catalog(), entity, Operation::Insert, input, None)
}

/// The errors of an insert must be this tree; `null` stands for none.
#[track_caller]
fn check(entity: &str, input: Value, errors: Value) {
    check_flavor(RouterFlavor::TraditionalCompatible, entity, input, errors);
}

#[track_caller]
fn check_flavor(flavor: RouterFlavor, entity: &str, input: Value, errors: Value) {
    let shown = input.to_string();
    let found = match prepare(for_flavor(flavor), entity, Operation::Insert, input, None) {
        Ok(_) => Value::Null,
        Err(violations) => violations.into_json(),
    };
    assert_eq!(found, errors, "{shown}");
}
