//! opentelemetry: Sends traces and logs by OpenTelemetry.

mod handler;
mod logs;
mod otlp;
mod report;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "opentelemetry",
    description: "Sends traces and logs by OpenTelemetry.",
    version: BUNDLED_VERSION,
    priority: 14,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter, Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("opentelemetry")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "traces_endpoint",
                fields::url("The OTLP/HTTP URL for traces.").referenceable(),
            ),
            (
                "logs_endpoint",
                fields::url("The OTLP/HTTP URL for logs.").referenceable(),
            ),
            (
                "headers",
                Field::map(
                    "Headers to send with, by name.",
                    fields::header_name(""),
                    Field::string("").referenceable(),
                ),
            ),
            (
                "resource_attributes",
                Field::map(
                    "Attributes of the resource, by name.",
                    Field::string("").required(),
                    Field::string("").required(),
                )
                .custom(check_attributes),
            ),
            ("queue", fields::queue_with_batches_of(200)),
            (
                "batch_span_count",
                Field::integer("Older name of `queue.max_batch_size`.").deprecated(
                    fields::deprecation_but_for(
                        "opentelemetry: config.batch_span_count is deprecated, please \
                         use config.queue.max_batch_size instead",
                        200,
                    ),
                ),
            ),
            (
                "batch_flush_delay",
                Field::integer("Older name of `queue.max_coalescing_delay`, in seconds.")
                    .deprecated(fields::deprecation_but_for(
                        "opentelemetry: config.batch_flush_delay is deprecated, please \
                         use config.queue.max_coalescing_delay instead",
                        3,
                    )),
            ),
            (
                "connect_timeout",
                fields::timeout("How long connecting may take, in milliseconds.").default(1000),
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
                "header_type",
                Field::string("Which tracing header is used; see `propagation`.")
                    .optional()
                    .one_of(&[
                        "preserve",
                        "ignore",
                        "b3",
                        "b3-single",
                        "w3c",
                        "jaeger",
                        "ot",
                        "aws",
                        "gcp",
                        "datadog",
                    ])
                    .default("preserve")
                    .deprecated(fields::deprecation_but_for(
                        "opentelemetry: config.header_type is deprecated, please use \
                         config.propagation options instead",
                        "preserve",
                    )),
            ),
            (
                "sampling_rate",
                Field::number(
                    "The part of the traces that is sent, from 0 to 1; the node's \
                     own rate if it is null.",
                )
                .optional()
                .between(0, 1),
            ),
            ("propagation", fields::propagation("w3c")),
        ],
    )
    .required()
    .check(Check::at_least_one_of(&[
        "traces_endpoint",
        "logs_endpoint",
    ]))
    .shorthand(fields::old_name(
        "endpoint",
        fields::url("").referenceable(),
        &["traces_endpoint"],
        &[],
        "OpenTelemetry: config.endpoint is deprecated, please use \
         config.traces_endpoint instead",
    ))
}

fn check_attributes(attributes: &Value) -> Result<(), String> {
    for value in attributes
        .as_object()
        .into_iter()
        .flat_map(|map| map.values())
    {
        if value.as_str() == Some("") {
            return Err("required field missing".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
