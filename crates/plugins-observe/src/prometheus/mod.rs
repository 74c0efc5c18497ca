//! prometheus: Shows metrics to Prometheus.

mod count;
mod families;
mod handler;
mod models;
mod series;
mod state;

pub use families::METRICS;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "prometheus",
    description: "Shows metrics to Prometheus.",
    version: BUNDLED_VERSION,
    priority: 13,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("prometheus")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "per_consumer",
                Field::boolean("Whether metrics are split by consumer.").default(false),
            ),
            (
                "status_code_metrics",
                Field::boolean("Whether requests are counted by status.").default(false),
            ),
            (
                "ai_metrics",
                Field::boolean("Whether the use of language models is counted.").default(false),
            ),
            (
                "latency_metrics",
                Field::boolean("Whether times are measured.").default(false),
            ),
            (
                "bandwidth_metrics",
                Field::boolean("Whether bytes are counted.").default(false),
            ),
            (
                "upstream_health_metrics",
                Field::boolean("Whether the health of targets is shown.").default(false),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
