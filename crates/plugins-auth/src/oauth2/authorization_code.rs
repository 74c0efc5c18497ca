//! Codes that applications exchange for tokens.

use plugin_api::fields;
use schema::{Field, Schema};
use serde_json::Value;

/// The entity `oauth2_authorization_codes`.
pub fn schema() -> Schema {
    let mut schema = Schema::new(
        "oauth2_authorization_codes",
        "A code that is good for one token.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("service", super::service())
    .field_as("credential", super::credential())
    .field_as(
        "code",
        Field::string("The code; made when it is not given.")
            .optional()
            .unique()
            .auto(),
    )
    .field_as("authenticated_userid", super::user())
    .field_as("scope", super::scope())
    .field_as(
        "challenge",
        Field::string("What the proof key must hash to.").optional(),
    )
    .field_as(
        "challenge_method",
        Field::string("How the proof key is hashed.")
            .optional()
            .one_of(&["S256"]),
    )
    .field_as(
        "plugin",
        Field::foreign_to("The plugin that issued it.", "plugins")
            .default(Value::Null)
            .on_delete_cascade(),
    );
    schema.ttl = true;
    schema.admin_api = false;
    schema.export = false;
    schema
}
