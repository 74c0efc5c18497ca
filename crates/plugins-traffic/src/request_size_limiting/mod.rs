//! request-size-limiting: Refuses requests with large bodies.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "request-size-limiting",
    description: "Refuses requests with large bodies.",
    version: BUNDLED_VERSION,
    priority: 951,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("request-size-limiting")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "allowed_payload_size",
                Field::integer("The size of the largest body.").default(128),
            ),
            (
                "size_unit",
                Field::string("The unit of the size.")
                    .required()
                    .one_of(&["megabytes", "kilobytes", "bytes"])
                    .default("megabytes"),
            ),
            (
                "require_content_length",
                Field::boolean("Whether requests must say the length of their body.")
                    .required()
                    .default(false),
            ),
        ],
    )
    .required()
}
