//! jwt: Asks for a signed JSON Web Token.

mod handler;
mod secret;
mod token;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "jwt",
    description: "Asks for a signed JSON Web Token.",
    version: BUNDLED_VERSION,
    priority: 1450,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[secret::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("jwt")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(Check::conditional(
            "config.maximum_expiration",
            Field::condition().gt(0),
            "config.claims_to_verify",
            Field::condition().contains("exp"),
        ))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "uri_param_names",
                Field::set(
                    "The query arguments that may hold the token.",
                    Field::string(""),
                )
                .default(vec!["jwt"]),
            ),
            (
                "cookie_names",
                Field::set("The cookies that may hold the token.", Field::string(""))
                    .default(Vec::<Value>::new()),
            ),
            (
                "key_claim_name",
                Field::string("The claim, or else header field, that names the credential.")
                    .default("iss"),
            ),
            (
                "secret_is_base64",
                Field::boolean("Whether the credentials' secrets are in base64.")
                    .required()
                    .default(false),
            ),
            (
                "claims_to_verify",
                Field::set(
                    "The time claims that must be there and hold.",
                    Field::string("").one_of(&["exp", "nbf"]),
                ),
            ),
            (
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
            ),
            (
                "run_on_preflight",
                Field::boolean(
                    "Whether preflight (`OPTIONS`) requests must carry credentials \
                     as well.",
                )
                .required()
                .default(true),
            ),
            (
                "maximum_expiration",
                Field::number("The longest life of a token in seconds; 0 for any.")
                    .between(0, 31536000)
                    .default(0),
            ),
            (
                "header_names",
                Field::set("The headers that may hold the token.", Field::string(""))
                    .default(vec!["authorization"]),
            ),
            (
                "realm",
                Field::string("The realm that the `WWW-Authenticate` header of a 401 names.")
                    .optional(),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
