//! oauth2: Issues OAuth 2.0 tokens and asks for them.

mod access;
mod application;
mod authorization_code;
mod authorize;
mod client;
mod config;
mod handler;
mod issue;
mod parameters;
mod proof;
mod refusal;
mod secret;
mod token;
mod tokens;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "oauth2",
    description: "Issues OAuth 2.0 tokens and asks for them.",
    version: BUNDLED_VERSION,
    priority: 1400,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[
        application::schema,
        authorization_code::schema,
        token::schema,
    ],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("oauth2")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "scopes",
                Field::array("The scopes that exist.", Field::string("")),
            ),
            (
                "mandatory_scope",
                Field::boolean("Whether a request for a token must name a scope.")
                    .required()
                    .default(false),
            ),
            (
                "provision_key",
                Field::string(
                    "What the login page proves itself with; made when it is not \
                     given.",
                )
                .required()
                .unique()
                .auto()
                .encrypted(),
            ),
            (
                "token_expiration",
                Field::number("How many seconds an access token lives; 0 for ever.")
                    .required()
                    .default(7200),
            ),
            (
                "enable_authorization_code",
                Field::boolean("Whether the authorization code grant is offered.")
                    .required()
                    .default(false),
            ),
            (
                "enable_implicit_grant",
                Field::boolean("Whether the implicit grant is offered.")
                    .required()
                    .default(false),
            ),
            (
                "enable_client_credentials",
                Field::boolean("Whether the client credentials grant is offered.")
                    .required()
                    .default(false),
            ),
            (
                "enable_password_grant",
                Field::boolean("Whether the password grant is offered.")
                    .required()
                    .default(false),
            ),
            (
                "hide_credentials",
                Field::boolean(
                    "Whether the credentials are removed before the request goes to \
                     the upstream.",
                )
                .required()
                .default(false),
            ),
            (
                "accept_http_if_already_terminated",
                Field::boolean(
                    "Whether plain HTTP is accepted when `X-Forwarded-Proto` says \
                     that TLS ended before the gateway.",
                )
                .required()
                .default(false),
            ),
            (
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
            ),
            (
                "global_credentials",
                Field::boolean("Whether a token is good for every service with such a plugin.")
                    .required()
                    .default(false),
            ),
            (
                "auth_header_name",
                Field::string("The header that holds the access token.").default("authorization"),
            ),
            (
                "refresh_token_ttl",
                fields::ttl("How many seconds a refresh token lives; 0 for ever.")
                    .required()
                    .default(1209600),
            ),
            (
                "reuse_refresh_token",
                Field::boolean("Whether a refresh token stays good after it was used.")
                    .required()
                    .default(false),
            ),
            (
                "pkce",
                Field::string(
                    "Whether proof keys are not asked for, asked for of public \
                     clients, or of all.",
                )
                .optional()
                .one_of(&["none", "lax", "strict"])
                .default("lax"),
            ),
            (
                "realm",
                Field::string("The realm that the `WWW-Authenticate` header of a 401 names.")
                    .optional(),
            ),
        ],
    )
    .required()
    .check(Check::conditional(
        "mandatory_scope",
        Field::condition().eq(true),
        "scopes",
        Field::condition().required(),
    ))
    .custom(check_grants)
}

fn check_grants(config: &Value) -> Result<(), String> {
    const GRANTS: [&str; 4] = [
        "enable_authorization_code",
        "enable_implicit_grant",
        "enable_client_credentials",
        "enable_password_grant",
    ];
    if GRANTS.iter().any(|grant| config[grant] == true) {
        return Ok(());
    }
    Err(format!(
        "at least one of these fields must be true: {}",
        GRANTS.join(", ")
    ))
}

/// The service that a token is for; any if there is none.
fn service() -> Field {
    Field::foreign_to("The service that it is for.", "services")
        .default(Value::Null)
        .on_delete_cascade()
}

fn credential() -> Field {
    Field::foreign_to(
        "The application that it was issued to.",
        "oauth2_credentials",
    )
    .required()
    .on_delete_cascade()
}

fn user() -> Field {
    Field::string("The user on whose behalf it was issued.").optional()
}

fn scope() -> Field {
    Field::string("The scopes, with spaces between them.")
}

#[cfg(test)]
mod tests;
