//! Keys of consumers.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `keyauth_credentials`.
pub fn schema() -> Schema {
    let mut schema = Schema::new("keyauth_credentials", "A key of a consumer.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("consumer", fields::owner("Whose key it is."))
        .field_as(
            "key",
            Field::string("The key; made when it is not given.")
                .optional()
                .unique()
                .auto(),
        )
        .field_as("tags", fields::tags());
    schema.ttl = true;
    schema.endpoint_key = Some("key");
    schema.cache_key = &["key"];
    schema.admin_path = "key-auths";
    schema.admin_nested_path = "key-auth";
    schema
}
