//! correlation-id: Gives each request an id that goes to the upstream, and to the client if wanted.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "correlation-id",
    description: "Gives each request an id that goes to the upstream, and to the \
        client if wanted.",
    version: BUNDLED_VERSION,
    priority: 100_001,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("correlation-id")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "header_name",
                Field::string("The header that carries the id.").default("Kong-Request-ID"),
            ),
            (
                "generator",
                Field::string(
                    "How ids are made: a UUID each, a UUID with a counter, or from \
                     the node's address and time.",
                )
                .required()
                .one_of(&["uuid", "uuid#counter", "tracker"])
                .default("uuid#counter"),
            ),
            (
                "echo_downstream",
                Field::boolean("Whether the answer carries the id as well.")
                    .required()
                    .default(false),
            ),
        ],
    )
    .required()
}
