//! A plugin: something the gateway does with requests, for all of them or for those of a route, service or consumer.

use schema::{Field, Schema, SubschemaKey};
use serde_json::Value;

use crate::fields;

pub(crate) fn schema() -> Schema {
    let scope = |description, entity| {
        Field::foreign_to(description, entity)
            .default(Value::Null)
            .on_delete_cascade()
    };
    let mut schema = Schema::new(
        "plugins",
        "Something that the gateway does with requests and responses.",
    )
    .field_as("id", Field::id())
    .field_as("name", Field::string("Which plugin it is.").required())
    .field_as(
        "instance_name",
        fields::name("A unique name for this use of the plugin."),
    )
    .field_as("created_at", fields::created_at())
    .field_as("updated_at", fields::updated_at())
    .field_as(
        "route",
        scope("Restricts the plugin to requests for this route.", "routes"),
    )
    .field_as(
        "service",
        scope(
            "Restricts the plugin to requests for routes of this service.",
            "services",
        ),
    )
    .field_as(
        "consumer",
        scope(
            "Restricts the plugin to requests of this consumer.",
            "consumers",
        ),
    )
    .field_as(
        "config",
        Field::abstract_record("The settings of the plugin."),
    )
    .field_as(
        "protocols",
        fields::protocols("The protocols for which the plugin runs."),
    )
    .field_as(
        "enabled",
        Field::boolean("Whether the plugin runs.")
            .required()
            .default(true),
    )
    .field_as("tags", fields::tags());
    schema.endpoint_key = Some("instance_name");
    schema.cache_key = &["name", "route", "service", "consumer"];
    schema.subschema = Some(SubschemaKey {
        field: "name",
        error: "plugin '%s' not enabled; add it to the 'plugins' configuration property",
        choices: Vec::new(),
    });
    schema
}
