//! Tags: a read-only view of which record carries which label.

use schema::{Field, Schema};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("tags", "A label and a record that carries it.")
        .field_as("tag", fields::tag().described("The label."))
        .field_as(
            "entity_name",
            Field::string("The entity of the record.").required(),
        )
        .field_as(
            "entity_id",
            Field::id().described("The id of the record.").required(),
        );
    schema.primary_key = "tag";
    schema.endpoint_key = Some("tag");
    schema.workspaceable = false;
    schema.export = false;
    schema
}
