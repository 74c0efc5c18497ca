//! Names and passwords of consumers.

use plugin_api::fields;
use schema::{Field, Record, Schema, Transformation};
use serde_json::Value;

use super::hash;

/// The entity `basicauth_credentials`.
pub fn schema() -> Schema {
    let mut schema = Schema::new(
        "basicauth_credentials",
        "A name and a password of a consumer.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("consumer", fields::owner("Whose they are."))
    .field_as("username", Field::string("The name.").required().unique())
    .field_as(
        "password",
        Field::string("The password; kept as a hash.")
            .required()
            .encrypted(),
    )
    .field_as("tags", fields::tags());
    schema.endpoint_key = Some("username");
    schema.cache_key = &["username"];
    schema.admin_path = "basic-auths";
    schema.admin_nested_path = "basic-auth";
    schema.transformations.push(Transformation {
        input: &["password"],
        needs: &["consumer.id"],
        on_write: |values| Ok(hashed(values)),
    });
    schema
}

fn hashed(values: &[Value]) -> Record {
    let text = |at: usize| values.get(at).and_then(Value::as_str).unwrap_or_default();
    let stored = hash::of(text(1), text(0).as_bytes());
    Record::from_iter([("password".to_owned(), stored.into())])
}
