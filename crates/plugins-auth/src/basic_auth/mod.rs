//! basic-auth: Asks for a name and a password.

mod credential;
mod handler;
mod hash;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "basic-auth",
    description: "Asks for a name and a password.",
    version: BUNDLED_VERSION,
    priority: 1100,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[credential::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("basic-auth")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
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
                "realm",
                Field::string("The realm that the `WWW-Authenticate` header of a 401 names.")
                    .required()
                    .default("service"),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
