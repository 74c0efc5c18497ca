//! http-log: Sends log entries to an HTTP server.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

use crate::entries::custom_fields;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "http-log",
    description: "Sends log entries to an HTTP server.",
    version: BUNDLED_VERSION,
    priority: 12,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("http-log")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "http_endpoint",
                fields::url("The URL that entries are sent to.")
                    .required()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "method",
                Field::string("The method to send with.")
                    .one_of(&["POST", "PUT", "PATCH"])
                    .default("POST"),
            ),
            (
                "content_type",
                Field::string("The media type to send with.")
                    .one_of(&["application/json", "application/json; charset=utf-8"])
                    .default("application/json"),
            ),
            (
                "timeout",
                Field::number("How long the server may take to answer, in milliseconds.")
                    .default(10000),
            ),
            (
                "keepalive",
                Field::number("How long an idle connection is kept, in milliseconds.")
                    .default(60000),
            ),
            (
                "retry_count",
                Field::integer("Has no effect any more; see `queue.max_retry_time`.").deprecated(
                    fields::deprecation_but_for(
                        "http-log: config.retry_count no longer works, please use \
                         config.queue.max_retry_time instead",
                        10,
                    ),
                ),
            ),
            (
                "queue_size",
                Field::integer("Older name of `queue.max_batch_size`.").deprecated(
                    fields::deprecation_but_for(
                        "http-log: config.queue_size is deprecated, please use \
                         config.queue.max_batch_size instead",
                        1,
                    ),
                ),
            ),
            (
                "flush_timeout",
                Field::number("Older name of `queue.max_coalescing_delay`, in seconds.")
                    .deprecated(fields::deprecation_but_for(
                        "http-log: config.flush_timeout is deprecated, please use \
                         config.queue.max_coalescing_delay instead",
                        2,
                    )),
            ),
            (
                "headers",
                Field::map(
                    "Headers to send with, by name.",
                    fields::header_name("").match_none(&[
                        ("^[Hh][Oo][Ss][Tt]$", "cannot contain 'Host' header"),
                        (
                            "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Ll][Ee][nn][Gg][Tt][Hh]$",
                            "cannot contain 'Content-Length' header",
                        ),
                        (
                            "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Tt][Yy][Pp][Ee]$",
                            "cannot contain 'Content-Type' header",
                        ),
                    ]),
                    Field::string("").referenceable(),
                ),
            ),
            ("queue", fields::queue()),
            ("custom_fields_by_lua", custom_fields()),
        ],
    )
    .required()
    .custom(check_one_authorization)
}

/// Credentials stand in the URL or in a header, not in both.
fn check_one_authorization(config: &Value) -> Result<(), String> {
    let endpoint = config.get("http_endpoint").and_then(Value::as_str);
    let authority = endpoint
        .and_then(|url| url.split_once("//"))
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    let in_url = authority.is_some_and(|authority| authority.contains('@'));
    let headers = config.get("headers").and_then(Value::as_object);
    let in_header = headers.is_some_and(|headers| {
        headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("authorization"))
    });
    if in_url && in_header {
        return Err(
            "specifying both an 'Authorization' header and user info in \
             'http_endpoint' is not allowed"
                .to_owned(),
        );
    }
    Ok(())
}
