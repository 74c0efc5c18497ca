//! A filter chain: WebAssembly filters for a service or a route.
//!
//! No filters are installed, so that each filter is refused by name; the declaration is here because Kong's database
//! and its tools know the entity.

use schema::{Check, Field, JsonFormat, Schema};
use serde_json::{Value, json};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let scope = |description, entity| {
        Field::foreign_to(description, entity)
            .default(Value::Null)
            .on_delete_cascade()
            .unique()
    };
    let mut schema = Schema::new(
        "filter_chains",
        "WebAssembly filters for a service or a route.",
    )
    .field_as("id", Field::id())
    .field_as("name", fields::name("A unique name."))
    .field_as(
        "enabled",
        Field::boolean("Whether the filters run.")
            .required()
            .default(true),
    )
    .field_as("route", scope("The route.", "routes"))
    .field_as("service", scope("The service.", "services"))
    .field_as(
        "filters",
        Field::array("The filters in the order in which they run.", filter())
            .required()
            .len_min(1),
    )
    .field_as("created_at", fields::created_at())
    .field_as("updated_at", fields::updated_at())
    .field_as("tags", fields::tags())
    .check(Check::mutually_exclusive(&["service", "route"]))
    .check(Check::at_least_one_of(&["service", "route"]))
    .check(
        Check::custom(&["filters"], |_, _| {
            Err("wasm support is not enabled".to_owned())
        })
        .even_with_invalid_fields(),
    );
    schema.endpoint_key = Some("name");
    schema.cache_key = &["route", "service"];
    schema.admin_path = "filter-chains";
    schema.admin_nested_path = "filter-chains";
    schema
}

fn filter() -> Field {
    let installed: &[&str] = &[];
    let config = JsonFormat {
        shown: json!({
            "default": { "$schema": "http://json-schema.org/draft-04/schema#", "type": ["string", "null"] },
            "namespace": "proxy-wasm-filters",
            "optional": true,
            "parent_subschema_key": "name",
        }),
        validate: |value| match value {
            Value::String(_) | Value::Null => Ok(()),
            _ => Err(
                "value failed JSON-schema validation: wrong type: expected one of string, null"
                    .to_owned(),
            ),
        },
    };
    Field::record(
        "",
        vec![
            (
                "name",
                Field::string("Which filter it is.")
                    .required()
                    .one_of(installed)
                    .error("no such filter"),
            ),
            (
                "enabled",
                Field::boolean("Whether the filter runs.")
                    .required()
                    .default(true),
            ),
            (
                "config",
                Field::json("The settings of the filter.", config).optional(),
            ),
        ],
    )
}
