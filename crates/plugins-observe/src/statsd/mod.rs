//! statsd: Sends metrics to a StatsD server.

mod handler;
mod names;
mod tags;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::{Value, json};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "statsd",
    description: "Sends metrics to a StatsD server.",
    version: BUNDLED_VERSION,
    priority: 11,
    phases: Phases::of(&[Phase::Log]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("statsd")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "host",
                fields::host("The host of the server.").default("localhost"),
            ),
            (
                "port",
                fields::port("The port of the server.").default(8125),
            ),
            (
                "prefix",
                Field::string("What the names of metrics begin with.").default("kong"),
            ),
            ("metrics", metrics()),
            (
                "allow_status_codes",
                Field::array(
                    "The ranges of statuses that are measured, as `200-299`; all if \
                     they are not given.",
                    Field::string("").matches("^[0-9]+-[0-9]+$"),
                ),
            ),
            (
                "udp_packet_size",
                Field::number("The bytes up to which metrics share a datagram; 0 for one each.")
                    .between(0, 65507)
                    .default(0),
            ),
            (
                "use_tcp",
                Field::boolean("Whether metrics go over TCP.").default(false),
            ),
            (
                "hostname_in_prefix",
                Field::boolean("Whether names hold the name of the node.").default(false),
            ),
            (
                "consumer_identifier_default",
                Field::string("How the consumer is named where a metric does not say.")
                    .required()
                    .one_of(&["consumer_id", "custom_id", "username"])
                    .default("custom_id"),
            ),
            (
                "service_identifier_default",
                Field::string("How the service is named where a metric does not say.")
                    .required()
                    .one_of(&[
                        "service_id",
                        "service_name",
                        "service_host",
                        "service_name_or_host",
                    ])
                    .default("service_name_or_host"),
            ),
            (
                "workspace_identifier_default",
                Field::string("How the workspace is named where a metric does not say.")
                    .required()
                    .one_of(&["workspace_id", "workspace_name"])
                    .default("workspace_id"),
            ),
            (
                "retry_count",
                Field::integer("Has no effect any more; see `queue.max_retry_time`.").deprecated(
                    fields::deprecation_but_for(
                        "statsd: config.retry_count no longer works, please use \
                         config.queue.max_retry_time instead",
                        10,
                    ),
                ),
            ),
            (
                "queue_size",
                Field::integer("Older name of `queue.max_batch_size`.").deprecated(
                    fields::deprecation_but_for(
                        "statsd: config.queue_size is deprecated, please use \
                         config.queue.max_batch_size instead",
                        1,
                    ),
                ),
            ),
            (
                "flush_timeout",
                Field::number("Older name of `queue.max_coalescing_delay`, in seconds.")
                    .deprecated(fields::deprecation_but_for(
                        "statsd: config.flush_timeout is deprecated, please use \
                         config.queue.max_coalescing_delay instead",
                        2,
                    )),
            ),
            (
                "tag_style",
                Field::string("The dialect of tags; empty puts them into the names.")
                    .optional()
                    .one_of(&["dogstatsd", "influxdb", "librato", "signalfx"]),
            ),
            ("queue", fields::queue()),
        ],
    )
    .required()
}

fn default_metrics() -> Value {
    json!([
        {"name": "request_count", "sample_rate": 1, "stat_type": "counter"},
        {"name": "latency", "stat_type": "timer"},
        {"name": "request_size", "sample_rate": 1, "stat_type": "counter"},
        {"name": "status_count", "sample_rate": 1, "stat_type": "counter"},
        {"name": "response_size", "sample_rate": 1, "stat_type": "counter"},
        {"name": "unique_users", "stat_type": "set"},
        {"name": "request_per_user", "sample_rate": 1, "stat_type": "counter"},
        {"name": "upstream_latency", "stat_type": "timer"},
        {"name": "kong_latency", "stat_type": "timer"},
        {"name": "status_count_per_user", "sample_rate": 1, "stat_type": "counter"},
        {"name": "status_count_per_workspace", "sample_rate": 1, "stat_type": "counter"},
        {"name": "status_count_per_user_per_route", "sample_rate": 1, "stat_type": "counter"},
        {"name": "shdict_usage", "sample_rate": 1, "stat_type": "gauge"},
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
                        "request_per_user",
                        "request_size",
                        "response_size",
                        "status_count",
                        "status_count_per_user",
                        "unique_users",
                        "upstream_latency",
                        "status_count_per_workspace",
                        "status_count_per_user_per_route",
                        "shdict_usage",
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
                    ]),
                ),
                (
                    "sample_rate",
                    Field::number("The part of the requests that is sent.").gt(0),
                ),
                (
                    "consumer_identifier",
                    Field::string("How the consumer is named.").one_of(&[
                        "consumer_id",
                        "custom_id",
                        "username",
                    ]),
                ),
                (
                    "service_identifier",
                    Field::string("How the service is named.").one_of(&[
                        "service_id",
                        "service_name",
                        "service_host",
                        "service_name_or_host",
                    ]),
                ),
                (
                    "workspace_identifier",
                    Field::string("How the workspace is named.")
                        .one_of(&["workspace_id", "workspace_name"]),
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
    .default(default_metrics())
}

#[cfg(test)]
mod tests;
