//! A consumer: whoever uses an API.

use schema::{Check, Field, Schema};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new(
        "consumers",
        "A user of the APIs: a person, an application or a team.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("updated_at", fields::updated_at())
    .field_as("username", Field::string("A unique name.").unique())
    .field_as(
        "custom_id",
        Field::string("The id of the user in another system.").unique(),
    )
    .field_as("tags", fields::tags())
    .check(Check::at_least_one_of(&["custom_id", "username"]));
    schema.endpoint_key = Some("username");
    schema
}
