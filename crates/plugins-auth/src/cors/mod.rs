//! cors: Tells browsers which pages of other origins may call.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use regex::Regex;
use schema::{Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "cors",
    description: "Tells browsers which pages of other origins may call.",
    version: BUNDLED_VERSION,
    priority: 2000,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("cors")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "origins",
                Field::array(
                    "The origins that may read answers: `*`, an origin, or a \
                     regular expression.",
                    Field::string("").custom(check_origin),
                ),
            ),
            (
                "headers",
                Field::array(
                    "The request headers that scripts may send; empty mirrors what \
                     the browser asks for.",
                    Field::string(""),
                ),
            ),
            (
                "exposed_headers",
                Field::array(
                    "The answer headers that scripts may read.",
                    Field::string(""),
                ),
            ),
            (
                "methods",
                Field::array(
                    "The methods that scripts may use.",
                    Field::string("").one_of(&[
                        "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE",
                        "CONNECT",
                    ]),
                )
                .default(vec![
                    "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT",
                ]),
            ),
            (
                "max_age",
                Field::number(
                    "How many seconds browsers keep the answer to a preflight \
                     request.",
                ),
            ),
            (
                "credentials",
                Field::boolean("Whether requests with credentials are allowed.")
                    .required()
                    .default(false),
            ),
            (
                "private_network",
                Field::boolean("Whether pages of public networks may call into this private one.")
                    .required()
                    .default(false),
            ),
            (
                "preflight_continue",
                Field::boolean("Whether preflight requests go to the upstream.")
                    .required()
                    .default(false),
            ),
        ],
    )
    .required()
}

/// An origin is `*`, or something that stands as a regular expression.
fn check_origin(value: &Value) -> Result<(), String> {
    let origin = value.as_str().unwrap_or_default();
    if origin == "*" || Regex::new(origin).is_ok() {
        return Ok(());
    }
    Err(format!("'{origin}' is not a valid regex"))
}
