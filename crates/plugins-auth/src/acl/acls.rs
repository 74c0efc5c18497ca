//! Groups of consumers.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `acls`.
pub fn schema() -> Schema {
    let mut schema = Schema::new("acls", "A consumer's membership in a group.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("consumer", fields::owner("Who is in the group."))
        .field_as("group", Field::string("The name of the group.").required())
        .field_as("tags", fields::tags());
    schema.cache_key = &["consumer", "group"];
    schema
}
