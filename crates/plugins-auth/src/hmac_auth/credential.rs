//! Names and secrets that consumers sign requests with.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `hmacauth_credentials`.
pub fn schema() -> Schema {
    let mut schema = Schema::new("hmacauth_credentials", "A name and a secret of a consumer.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("consumer", fields::owner("Whose they are."))
        .field_as("username", Field::string("The name.").required().unique())
        .field_as(
            "secret",
            Field::string("The secret that signatures are made with; made when it is not given.")
                .auto(),
        )
        .field_as("tags", fields::tags());
    schema.endpoint_key = Some("username");
    schema.cache_key = &["username"];
    schema.admin_path = "hmac-auths";
    schema.admin_nested_path = "hmac-auth";
    schema
}
