//! zipkin: Sends traces to Zipkin.

mod handler;
mod report;
mod request_tags;
mod span;

use std::collections::HashSet;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "zipkin",
    description: "Sends traces to Zipkin.",
    version: BUNDLED_VERSION,
    priority: 100_000,
    phases: Phases::of(&[
        Phase::Access,
        Phase::HeaderFilter,
        Phase::BodyFilter,
        Phase::Log,
    ]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("zipkin")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "local_service_name",
                Field::string("The name of the gateway in traces.")
                    .required()
                    .default("kong"),
            ),
            (
                "http_endpoint",
                fields::url("The URL that spans are sent to; empty sends none."),
            ),
            (
                "sample_ratio",
                Field::number("The part of the requests that is traced, from 0 to 1.")
                    .between(0, 1)
                    .default(0.001),
            ),
            (
                "default_service_name",
                Field::string("The name of upstreams that are no service."),
            ),
            (
                "include_credential",
                Field::boolean("Whether spans name the credential.")
                    .required()
                    .default(true),
            ),
            (
                "traceid_byte_count",
                Field::integer("The length of trace ids, in bytes.")
                    .required()
                    .one_of(&[8, 16])
                    .default(16),
            ),
            (
                "header_type",
                Field::string("Which tracing header is used; see `propagation`.")
                    .required()
                    .one_of(&[
                        "preserve",
                        "ignore",
                        "b3",
                        "b3-single",
                        "w3c",
                        "jaeger",
                        "ot",
                        "aws",
                        "datadog",
                        "gcp",
                    ])
                    .default("preserve")
                    .deprecated(fields::deprecation_but_for(
                        "zipkin: config.header_type is deprecated, please use \
                         config.propagation options instead",
                        "preserve",
                    )),
            ),
            (
                "default_header_type",
                Field::string(
                    "Which tracing header is written where none came; see \
                     `propagation.default_format`.",
                )
                .required()
                .one_of(&[
                    "b3",
                    "b3-single",
                    "w3c",
                    "jaeger",
                    "ot",
                    "aws",
                    "datadog",
                    "gcp",
                ])
                .default("b3")
                .deprecated(fields::deprecation_but_for(
                    "zipkin: config.default_header_type is deprecated, please use \
                     config.propagation.default_format instead",
                    "b3",
                )),
            ),
            (
                "tags_header",
                Field::string("The header in which clients give tags.")
                    .required()
                    .default("Zipkin-Tags"),
            ),
            (
                "static_tags",
                Field::array(
                    "Tags of every span.",
                    Field::record(
                        "",
                        vec![
                            (
                                "name",
                                Field::string("The name of the tag.")
                                    .required()
                                    .not_one_of(&[
                                        "error",
                                        "http.method",
                                        "http.path",
                                        "http.status_code",
                                        "kong.balancer.state",
                                        "kong.balancer.try",
                                        "kong.consumer",
                                        "kong.credential",
                                        "kong.node.id",
                                        "kong.route",
                                        "kong.service",
                                        "lc",
                                        "peer.hostname",
                                    ]),
                            ),
                            ("value", Field::string("The value of the tag.").required()),
                        ],
                    ),
                )
                .custom(check_distinct),
            ),
            (
                "http_span_name",
                Field::string("What spans are named after.")
                    .required()
                    .one_of(&["method", "method_path"])
                    .default("method"),
            ),
            (
                "connect_timeout",
                fields::timeout("How long connecting may take, in milliseconds.").default(2000),
            ),
            (
                "send_timeout",
                fields::timeout("The longest pause between two writes, in milliseconds.")
                    .default(5000),
            ),
            (
                "read_timeout",
                fields::timeout("The longest pause between two reads, in milliseconds.")
                    .default(5000),
            ),
            (
                "http_response_header_for_traceid",
                Field::string(
                    "A header of the answer that tells the client the trace id; \
                     empty for none.",
                ),
            ),
            (
                "phase_duration_flavor",
                Field::string("Whether times of phases are written as annotations or as tags.")
                    .required()
                    .one_of(&["annotations", "tags"])
                    .default("annotations"),
            ),
            ("queue", fields::queue()),
            ("propagation", fields::propagation("b3")),
        ],
    )
    .required()
}

fn check_distinct(tags: &Value) -> Result<(), String> {
    let mut seen = HashSet::new();
    let names = tags
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| &tag["name"]);
    for name in names.filter_map(Value::as_str) {
        if !seen.insert(name) {
            return Err(format!("repeated tags are not allowed: {name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
