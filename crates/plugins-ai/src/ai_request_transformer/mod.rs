//! ai-request-transformer: Lets a language model rewrite the request.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

use crate::model;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ai-request-transformer",
    description: "Lets a language model rewrite the request.",
    version: BUNDLED_VERSION,
    priority: 777,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ai-request-transformer")
        .field_as("protocols", fields::http_protocols())
        .field_as("consumer", fields::no_consumer())
        .field_as("config", config())
        .check(
            Check::conditional(
                "config.llm.route_type",
                Field::condition().not_one_of(&["llm/v1/chat"]),
                "config.llm.route_type",
                Field::condition().eq("llm/v1/chat"),
            )
            .error(
                "'config.llm.route_type' must be 'llm/v1/chat' for AI \
                 transformer plugins",
            ),
        )
        .check(Check::mutually_required(&[
            "config.http_proxy_host",
            "config.http_proxy_port",
        ]))
        .check(Check::mutually_required(&[
            "config.https_proxy_host",
            "config.https_proxy_port",
        ]))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "prompt",
                Field::string("What the model is told to do with the request.").required(),
            ),
            (
                "transformation_extract_pattern",
                Field::string(
                    "A regular expression that picks the part of the model's answer \
                     to use.",
                )
                .optional(),
            ),
            (
                "http_timeout",
                Field::integer("How long the model may take to answer, in milliseconds.")
                    .required()
                    .default(60000),
            ),
            (
                "https_verify",
                Field::boolean("Whether the server's certificate is verified.")
                    .required()
                    .default(true),
            ),
            (
                "max_request_body_size",
                Field::integer("The most bytes of a body that are looked at.")
                    .gt(0)
                    .default(8192),
            ),
            (
                "http_proxy_host",
                fields::host("The host of the proxy for plain HTTP."),
            ),
            (
                "http_proxy_port",
                fields::port("The port of the proxy for plain HTTP."),
            ),
            (
                "https_proxy_host",
                fields::host("The host of the proxy for HTTPS."),
            ),
            (
                "https_proxy_port",
                fields::port("The port of the proxy for HTTPS."),
            ),
            (
                "llm",
                model::with_checks(
                    Field::record("The model that transforms.", model::model_fields()).required(),
                ),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
