//! aws-lambda: Calls an AWS Lambda function in place of an upstream.

mod answer;
mod config;
mod event;
mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Record, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "aws-lambda",
    description: "Calls an AWS Lambda function in place of an upstream.",
    version: BUNDLED_VERSION,
    priority: 750,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("aws-lambda")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", settings())
        .check(Check::mutually_required(&[
            "config.aws_key",
            "config.aws_secret",
        ]))
        .check(Check::custom(&["config.proxy_url"], check_proxy))
}

fn settings() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "timeout",
                Field::number("How long the function may take to answer, in milliseconds.")
                    .required()
                    .default(60000),
            ),
            (
                "keepalive",
                Field::number("How long an idle connection is kept, in milliseconds.")
                    .required()
                    .default(60000),
            ),
            (
                "aws_key",
                Field::string("The access key id; with `aws_secret`.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "aws_secret",
                Field::string("The secret access key; with `aws_key`.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "aws_assume_role_arn",
                Field::string("The role to assume before calling.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "aws_role_session_name",
                Field::string("The session name of the assumed role.").default("kong"),
            ),
            (
                "aws_sts_endpoint_url",
                fields::url("The URL of the security token service."),
            ),
            ("aws_region", fields::host("The region of the function.")),
            (
                "function_name",
                Field::string("The function's name or ARN.").optional(),
            ),
            (
                "qualifier",
                Field::string("The version or alias of the function."),
            ),
            (
                "invocation_type",
                Field::string("How the function is called.")
                    .required()
                    .one_of(&["RequestResponse", "Event", "DryRun"])
                    .default("RequestResponse"),
            ),
            (
                "log_type",
                Field::string("Whether the end of the function's log is asked for.")
                    .required()
                    .one_of(&["Tail", "None"])
                    .default("Tail"),
            ),
            (
                "host",
                fields::host("The host of the service, where it is not the region's own."),
            ),
            (
                "port",
                fields::port("The port of the service.").default(443),
            ),
            (
                "disable_https",
                Field::boolean("Whether the function is called without TLS.").default(false),
            ),
            (
                "unhandled_status",
                Field::integer("The status to answer with when the function fails.")
                    .between(100, 999),
            ),
            (
                "forward_request_method",
                Field::boolean("Whether the function is told the method.").default(false),
            ),
            (
                "forward_request_uri",
                Field::boolean("Whether the function is told the path and the query.")
                    .default(false),
            ),
            (
                "forward_request_headers",
                Field::boolean("Whether the function is told the headers.").default(false),
            ),
            (
                "forward_request_body",
                Field::boolean("Whether the function is told the body.").default(false),
            ),
            (
                "is_proxy_integration",
                Field::boolean(
                    "Whether the function's answer says status, headers and body as \
                     for an API gateway.",
                )
                .default(false),
            ),
            (
                "awsgateway_compatible",
                Field::boolean(
                    "Whether the function is called with the event of an Amazon API \
                     Gateway.",
                )
                .default(false),
            ),
            ("proxy_url", fields::url("The URL of an HTTP proxy.")),
            (
                "skip_large_bodies",
                Field::boolean("Whether bodies that are too large for memory are left out.")
                    .default(true),
            ),
            (
                "base64_encode_body",
                Field::boolean("Whether the body is sent in base64.").default(true),
            ),
            (
                "aws_imds_protocol_version",
                Field::string(
                    "The version of the instance metadata service that credentials \
                     come from.",
                )
                .required()
                .one_of(&["v1", "v2"])
                .default("v1"),
            ),
            (
                "empty_arrays_mode",
                Field::string(
                    "Whether empty arrays of the function's answer stay arrays \
                     (`correct`) or become objects (`legacy`).",
                )
                .required()
                .one_of(&["legacy", "correct"])
                .default("legacy"),
            ),
        ],
    )
    .required()
}

fn check_proxy(record: &Record, _now: i64) -> Result<(), String> {
    let scheme = schema::get_path(record, "config.proxy_url")
        .and_then(Value::as_str)
        .and_then(|url| url.split_once("://"))
        .map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme != "http" && !scheme.contains(':') => {
            Err("proxy_url scheme must be http".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
