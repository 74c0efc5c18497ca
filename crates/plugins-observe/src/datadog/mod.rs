//! datadog: Sends metrics to a Datadog agent.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::{Value, json};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "datadog",
    description: "Sends metrics to a Datadog agent.",
    version: BUNDLED_VERSION,
    priority: 10,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("datadog")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "host",
                fields::host("The host of the agent.")
                    .referenceable()
                    .default("localhost"),
            ),
            ("port", fields::port("The port of the agent.").default(8125)),
            (
                "prefix",
                Field::string("What the names of metrics begin with.").default("kong"),
            ),
            (
                "service_name_tag",
                Field::string("The tag that names the service.").default("name"),
            ),
            (
                "status_tag",
                Field::string("The tag that names the status.").default("status"),
            ),
            (
                "consumer_tag",
                Field::string("The tag that names the consumer.").default("consumer"),
            ),
            (
                "retry_count",
                Field::integer("Has no effect any more; see `queue.max_retry_time`.").deprecated(
                    fields::deprecation_but_for(
                        "datadog: config.retry_count no longer works, please use \
                         config.queue.max_retry_time instead",
                        10,
                    ),
                ),
            ),
            (
                "queue_size",
                Field::integer("Older name of `queue.max_batch_size`.").deprecated(
                    fields::deprecation_but_for(
                        "datadog: config.queue_size is deprecated, please use \
                         config.queue.max_batch_size instead",
                        1,
                    ),
                ),
            ),
            (
                "flush_timeout",
                Field::number("Older name of `queue.max_coalescing_delay`, in seconds.")
                    .deprecated(fields::deprecation_but_for(
                        "datadog: config.flush_timeout is deprecated, please use \
                         config.queue.max_coalescing_delay instead",
                        2,
                    )),
            ),
            ("queue", fields::queue()),
            ("metrics", metrics()),
        ],
    )
    .required()
}

fn default_metrics() -> Value {
    json!([
        {"consumer_identifier": "custom_id", "name": "request_count", "sample_rate": 1, "stat_type": "counter", "tags": ["app:kong"]},
        {"consumer_identifier": "custom_id", "name": "latency", "stat_type": "timer", "tags": ["app:kong"]},
        {"consumer_identifier": "custom_id", "name": "request_size", "stat_type": "timer", "tags": ["app:kong"]},
        {"consumer_identifier": "custom_id", "name": "response_size", "stat_type": "timer", "tags": ["app:kong"]},
        {"consumer_identifier": "custom_id", "name": "upstream_latency", "stat_type": "timer", "tags": ["app:kong"]},
        {"consumer_identifier": "custom_id", "name": "kong_latency", "stat_type": "timer", "tags": ["app:kong"]},
    ])
}

fn metrics() -> Field {
    Field::array(
        "What is measured.",
        Field::record(
            "",
            vec![
                (
                    "name",
                    Field::string("Which value.").required().one_of(&[
                        "kong_latency",
                        "latency",
                        "request_count",
                        "request_size",
                        "response_size",
                        "upstream_latency",
                    ]),
                ),
                (
                    "stat_type",
                    Field::string("The type of metric.").required().one_of(&[
                        "counter",
                        "gauge",
                        "histogram",
                        "meter",
                        "set",
                        "timer",
                        "distribution",
                    ]),
                ),
                (
                    "tags",
                    Field::array(
                        "Tags as `key:value`.",
                        Field::string("").matches("^.*[^:]$"),
                    ),
                ),
                (
                    "sample_rate",
                    Field::number("The part of the requests that is sent, from 0 to 1.")
                        .between(0, 1),
                ),
                (
                    "consumer_identifier",
                    Field::string("How the consumer is named.").one_of(&[
                        "consumer_id",
                        "custom_id",
                        "username",
                    ]),
                ),
            ],
        )
        .check(Check::conditional(
            "stat_type",
            Field::condition().one_of(&["counter", "gauge"]),
            "sample_rate",
            Field::condition().required(),
        )),
    )
    .required()
    .default(default_metrics())
}

#[cfg(test)]
mod tests;
