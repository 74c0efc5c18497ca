//! udp-log: Sends log entries over UDP.

mod handler;

pub use handler::Datagrams;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "udp-log",
    description: "Sends log entries over UDP.",
    version: BUNDLED_VERSION,
    priority: 8,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("udp-log")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "host",
                fields::host("The host that entries are sent to.").required(),
            ),
            (
                "port",
                fields::port("The port that entries are sent to.").required(),
            ),
            (
                "timeout",
                Field::number("How long sending may take, in milliseconds.").default(10000),
            ),
            ("custom_fields_by_lua", custom_fields()),
        ],
    )
    .required()
}
