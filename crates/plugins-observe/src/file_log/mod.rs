//! file-log: Writes a log entry for each request to a file.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "file-log",
    description: "Writes a log entry for each request to a file.",
    version: BUNDLED_VERSION,
    priority: 9,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("file-log")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "path",
                Field::string("The file that entries are appended to; made if it is not there.")
                    .required()
                    .matches("^[^*&%%\\`]+$")
                    .error("not a valid filename"),
            ),
            (
                "reopen",
                Field::boolean(
                    "Whether the file is opened anew for each entry, so that it can \
                     be rotated.",
                )
                .required()
                .default(false),
            ),
            ("custom_fields_by_lua", custom_fields()),
        ],
    )
    .required()
}
