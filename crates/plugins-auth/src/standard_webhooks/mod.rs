//! standard-webhooks: Checks the signatures of webhooks.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "standard-webhooks",
    description: "Checks the signatures of webhooks.",
    version: BUNDLED_VERSION,
    priority: 760,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("standard-webhooks")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "secret_v1",
                Field::string("The secret that webhooks are signed with.")
                    .required()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "tolerance_second",
                Field::integer("By how many seconds the time of a webhook may be off.")
                    .required()
                    .gt(-1)
                    .default(300),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
