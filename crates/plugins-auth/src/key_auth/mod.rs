//! key-auth: Asks for a key.

mod credential;
mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "key-auth",
    description: "Asks for a key.",
    version: BUNDLED_VERSION,
    priority: 1250,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[credential::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("key-auth")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "key_names",
                Field::array("The names under which the key may come.", Field::string(""))
                    .required()
                    .default(vec!["apikey"]),
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
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
            ),
            (
                "key_in_header",
                Field::boolean("Whether the key may come in a header.")
                    .required()
                    .default(true),
            ),
            (
                "key_in_query",
                Field::boolean("Whether the key may come in the query.")
                    .required()
                    .default(true),
            ),
            (
                "key_in_body",
                Field::boolean("Whether the key may come in the body: a form, or JSON.")
                    .required()
                    .default(false),
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
