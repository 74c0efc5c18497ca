//! hmac-auth: Asks for a signature over the request.

mod credential;
mod handler;
mod signature;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "hmac-auth",
    description: "Asks for a signature over the request.",
    version: BUNDLED_VERSION,
    priority: 1030,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[credential::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("hmac-auth")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
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
                "clock_skew",
                Field::number("By how many seconds the date of a request may be off.")
                    .gt(0)
                    .default(300),
            ),
            (
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
            ),
            (
                "validate_request_body",
                Field::boolean("Whether the digest of the body is checked.")
                    .required()
                    .default(false),
            ),
            (
                "enforce_headers",
                Field::array(
                    "The headers that a signature must cover.",
                    Field::string(""),
                )
                .default(Vec::<Value>::new()),
            ),
            (
                "algorithms",
                Field::array(
                    "The algorithms that are accepted.",
                    Field::string("").one_of(&[
                        "hmac-sha1",
                        "hmac-sha256",
                        "hmac-sha384",
                        "hmac-sha512",
                    ]),
                )
                .default(vec![
                    "hmac-sha1",
                    "hmac-sha256",
                    "hmac-sha384",
                    "hmac-sha512",
                ]),
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
