//! redirect: Sends clients to another URL.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "redirect",
    description: "Sends clients to another URL.",
    version: BUNDLED_VERSION,
    priority: 779,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("redirect")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "status_code",
                Field::integer("The status of the answer.")
                    .required()
                    .between(100, 599)
                    .default(301),
            ),
            ("location", fields::url("The URL to go to.").required()),
            (
                "keep_incoming_path",
                Field::boolean(
                    "Whether the path and query of the request replace those of the \
                     URL.",
                )
                .default(false),
            ),
        ],
    )
    .required()
}
