//! request-termination: Answers in place of the upstream.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "request-termination",
    description: "Answers in place of the upstream.",
    version: BUNDLED_VERSION,
    priority: 2,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("request-termination")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "status_code",
                Field::integer("The status of the answer.")
                    .required()
                    .between(100, 599)
                    .default(503),
            ),
            (
                "message",
                Field::string("The message of the answer, as JSON."),
            ),
            ("content_type", Field::string("The media type of `body`.")),
            ("body", Field::string("The body of the answer.")),
            (
                "echo",
                Field::boolean("Whether the answer shows the request.")
                    .required()
                    .default(false),
            ),
            (
                "trigger",
                fields::header_name("A header or query argument without which requests go on."),
            ),
        ],
    )
    .required()
    .custom(check_config)
}

fn check_config(config: &Value) -> Result<(), String> {
    let given = |name: &str| config[name].as_str().is_some_and(|text| !text.is_empty());
    if given("message") && (given("content_type") || given("body")) {
        return Err("message cannot be used with content_type or body".to_owned());
    }
    if given("content_type") && !given("body") {
        return Err("content_type requires a body".to_owned());
    }
    if config["echo"] == true && (given("content_type") || given("body")) {
        return Err("echo cannot be used with content_type and body".to_owned());
    }
    Ok(())
}
