//! What the plugin keeps when its storage is the gateway's database.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `acme_storage`.
pub fn schema() -> Schema {
    let mut schema = Schema::new(
        "acme_storage",
        "A key, challenge or certificate of the plugin acme.",
    )
    .field_as("id", Field::id())
    .field_as(
        "key",
        Field::string("What the value is found by.")
            .required()
            .unique()
            .auto(),
    )
    .field_as("value", Field::string("The value.").required().auto())
    .field_as("created_at", fields::created_at());
    schema.ttl = true;
    schema.cache_key = &["key"];
    schema.workspaceable = false;
    schema
}
