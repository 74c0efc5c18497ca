//! A key set: keys that belong together.

use schema::{Field, Schema};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("key_sets", "A set of keys.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("A unique name.").optional().unique())
        .field_as("tags", fields::tags())
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at());
    schema.endpoint_key = Some("name");
    schema.admin_path = "key-sets";
    schema.admin_nested_path = "key-sets";
    schema
}
