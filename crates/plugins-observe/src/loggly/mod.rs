//! loggly: Sends log entries to Loggly.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "loggly",
    description: "Sends log entries to Loggly.",
    version: BUNDLED_VERSION,
    priority: 6,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("loggly")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "host",
                fields::host("The host that entries are sent to.").default("logs-01.loggly.com"),
            ),
            (
                "port",
                fields::port("The port that entries are sent to.").default(514),
            ),
            (
                "key",
                Field::string("The customer token.")
                    .required()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "tags",
                Field::set("Tags of the entries.", Field::string("")).default(vec!["kong"]),
            ),
            (
                "log_level",
                Field::string("The severity of entries that no other setting decides.")
                    .one_of(&[
                        "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                    ])
                    .default("info"),
            ),
            (
                "successful_severity",
                Field::string("The severity of entries for answers with a status below 400.")
                    .one_of(&[
                        "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                    ])
                    .default("info"),
            ),
            (
                "client_errors_severity",
                Field::string("The severity of entries for answers with a status of 400 to 499.")
                    .one_of(&[
                        "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                    ])
                    .default("info"),
            ),
            (
                "server_errors_severity",
                Field::string(
                    "The severity of entries for answers with a status of 500 and \
                     above.",
                )
                .one_of(&[
                    "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                ])
                .default("info"),
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
