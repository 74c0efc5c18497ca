//! ip-restriction: Lets a request through by the address of its client.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ip-restriction",
    description: "Lets a request through by the address of its client.",
    version: BUNDLED_VERSION,
    priority: 990,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ip-restriction")
        .field_as(
            "protocols",
            fields::any_protocols().default(vec!["http", "https", "tcp", "tls", "grpc", "grpcs"]),
        )
        .field_as("config", config())
        .check(Check::at_least_one_of(&["config.allow", "config.deny"]))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "allow",
                Field::array(
                    "The only addresses and blocks that are let through.",
                    fields::ip_or_cidr(""),
                ),
            ),
            (
                "deny",
                Field::array(
                    "Addresses and blocks that are refused.",
                    fields::ip_or_cidr(""),
                ),
            ),
            (
                "status",
                Field::number("The status of a refusal.").optional(),
            ),
            (
                "message",
                Field::string("The message of a refusal.").optional(),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
