//! Tokens that were issued.

use plugin_api::fields;
use schema::{Field, Schema};

/// The entity `oauth2_tokens`.
pub fn schema() -> Schema {
    let mut schema = Schema::new(
        "oauth2_tokens",
        "An access token, perhaps with a refresh token.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("service", super::service())
    .field_as("credential", super::credential())
    .field_as(
        "token_type",
        Field::string("How the token is used.")
            .required()
            .one_of(&["bearer"])
            .default("bearer"),
    )
    .field_as(
        "expires_in",
        Field::integer("How many seconds the access token lives; 0 for ever.").required(),
    )
    .field_as(
        "access_token",
        Field::string("The access token; made when it is not given.")
            .optional()
            .unique()
            .auto(),
    )
    .field_as(
        "refresh_token",
        Field::string("The refresh token.").optional().unique(),
    )
    .field_as("authenticated_userid", super::user())
    .field_as("scope", super::scope());
    schema.ttl = true;
    schema.endpoint_key = Some("access_token");
    schema.cache_key = &["access_token"];
    schema
}
