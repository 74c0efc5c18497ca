//! tcp-log: Sends log entries over TCP.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "tcp-log",
    description: "Sends log entries over TCP.",
    version: BUNDLED_VERSION,
    priority: 7,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("tcp-log")
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
            (
                "keepalive",
                Field::number("How long an idle connection is kept, in milliseconds.")
                    .default(60000),
            ),
            (
                "tls",
                Field::boolean("Whether entries are sent over TLS.")
                    .required()
                    .default(false),
            ),
            (
                "tls_sni",
                Field::string("The name that is asked for in the TLS handshake."),
            ),
            ("custom_fields_by_lua", custom_fields()),
        ],
    )
    .required()
}
