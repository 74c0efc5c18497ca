//! grpc-gateway: Lets HTTP clients call gRPC services with JSON.

mod bindings;
mod handler;
mod template;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "grpc-gateway",
    description: "Lets HTTP clients call gRPC services with JSON.",
    version: BUNDLED_VERSION,
    priority: 998,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter, Phase::BodyFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("grpc-gateway")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![(
            "proto",
            Field::string("The `.proto` file that describes the upstream's services.").optional(),
        )],
    )
    .required()
}

#[cfg(test)]
mod tests;
