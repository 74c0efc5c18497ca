//! grpc-web: Lets browsers call gRPC services.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "grpc-web",
    description: "Lets browsers call gRPC services.",
    version: BUNDLED_VERSION,
    priority: 3,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter, Phase::BodyFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("grpc-web")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "proto",
                Field::string(
                    "The `.proto` file that describes the upstream's services, \
                     needed for JSON.",
                )
                .optional(),
            ),
            (
                "pass_stripped_path",
                Field::boolean(
                    "Whether the upstream gets the path without what the route \
                     matched.",
                )
                .optional(),
            ),
            (
                "allow_origin_header",
                Field::string("The `Access-Control-Allow-Origin` header of answers.")
                    .optional()
                    .default("*"),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
