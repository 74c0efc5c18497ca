//! bot-detection: Refuses known bots by their user agent.

mod bots;
mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "bot-detection",
    description: "Refuses known bots by their user agent.",
    version: BUNDLED_VERSION,
    priority: 2500,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("bot-detection")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "allow",
                Field::array(
                    "Regular expressions for user agents that are let through.",
                    Field::string("").is_regex(),
                )
                .default(Vec::<Value>::new()),
            ),
            (
                "deny",
                Field::array(
                    "Regular expressions for user agents that are refused besides \
                     the known bots.",
                    Field::string("").is_regex(),
                )
                .default(Vec::<Value>::new()),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
