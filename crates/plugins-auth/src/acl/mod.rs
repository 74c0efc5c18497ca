//! acl: Lets a request through by the groups of its consumer.

mod acls;
mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "acl",
    description: "Lets a request through by the groups of its consumer.",
    version: BUNDLED_VERSION,
    priority: 950,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[acls::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("acl")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(Check::only_one_of(&["config.allow", "config.deny"]))
        .check(Check::at_least_one_of(&["config.allow", "config.deny"]))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "allow",
                Field::array(
                    "The groups whose consumers are let through.",
                    Field::string(""),
                ),
            ),
            (
                "deny",
                Field::array("The groups whose consumers are refused.", Field::string("")),
            ),
            (
                "hide_groups_header",
                Field::boolean(
                    "Whether the `X-Consumer-Groups` header is kept from the \
                     upstream.",
                )
                .required()
                .default(false),
            ),
            (
                "always_use_authenticated_groups",
                Field::boolean(
                    "Whether groups that an authentication plugin found count even \
                     for a consumer that has groups of its own.",
                )
                .required()
                .default(false),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
