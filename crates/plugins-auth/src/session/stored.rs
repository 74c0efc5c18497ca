//! Sessions that are kept in the database.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `sessions`.
pub fn schema() -> Schema {
    let mut schema = Schema::new("sessions", "A session of a client.")
        .field_as("id", Field::id())
        .field_as(
            "session_id",
            Field::string("What the cookie names it by.")
                .required()
                .unique(),
        )
        .field_as(
            "expires",
            Field::integer("When it ends, in seconds since 1970."),
        )
        .field_as("data", Field::string("What is remembered, sealed."))
        .field_as("created_at", fields::created_at());
    schema.ttl = true;
    schema.endpoint_key = Some("session_id");
    schema.cache_key = &["session_id"];
    schema.workspaceable = false;
    schema.export = false;
    schema
}
