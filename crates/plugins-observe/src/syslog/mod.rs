//! syslog: Writes log entries to the system's log.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "syslog",
    description: "Writes log entries to the system's log.",
    version: BUNDLED_VERSION,
    priority: 4,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("syslog")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "log_level",
                Field::string("The severity of entries that no other setting decides.")
                    .required()
                    .one_of(&[
                        "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                    ])
                    .default("info"),
            ),
            (
                "successful_severity",
                Field::string("The severity of entries for answers with a status below 400.")
                    .required()
                    .one_of(&[
                        "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                    ])
                    .default("info"),
            ),
            (
                "client_errors_severity",
                Field::string("The severity of entries for answers with a status of 400 to 499.")
                    .required()
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
                .required()
                .one_of(&[
                    "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
                ])
                .default("info"),
            ),
            ("custom_fields_by_lua", custom_fields()),
            (
                "facility",
                Field::string("The facility of the entries.")
                    .required()
                    .one_of(&[
                        "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news",
                        "syslog", "user", "uucp", "local0", "local1", "local2", "local3", "local4",
                        "local5", "local6", "local7",
                    ])
                    .default("user"),
            ),
        ],
    )
    .required()
}
