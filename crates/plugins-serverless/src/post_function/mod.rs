//! post-function: Runs Lua functions after the other plugins.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

use crate::functions;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "post-function",
    description: "Runs Lua functions after the other plugins.",
    version: BUNDLED_VERSION,
    priority: -1000,
    phases: Phases::of(&[
        Phase::Certificate,
        Phase::Rewrite,
        Phase::Access,
        Phase::HeaderFilter,
        Phase::BodyFilter,
        Phase::Log,
    ]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("post-function")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
        .check(Check::at_least_one_of(&[
            "config.certificate",
            "config.rewrite",
            "config.access",
            "config.header_filter",
            "config.body_filter",
            "config.log",
        ]))
}

fn config() -> Field {
    functions::config(check)
}

fn check(function: &Value) -> Result<(), String> {
    functions::check(DECLARATION.name, function)
}

#[cfg(test)]
mod tests;
