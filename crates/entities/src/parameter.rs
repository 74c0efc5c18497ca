//! Parameters: facts about the cluster that the gateway keeps for itself.

use schema::{Field, Schema};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("parameters", "A fact about the cluster.")
        .field_as("created_at", fields::created_at())
        .field_as(
            "key",
            Field::string("The name of the fact.").required().unique(),
        )
        .field_as("value", Field::string("The fact.").required());
    schema.primary_key = "key";
    schema.cache_key = &["key"];
    schema.workspaceable = false;
    schema.admin_api = false;
    schema
}
