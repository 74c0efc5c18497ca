//! Fields that the declarations of many plugins share, besides those of the entities.

use schema::{Field, Shorthand};
use serde_json::{Value, json};

pub use entities::fields::*;

/// The plugin cannot be restricted to a consumer.
pub fn no_consumer() -> Field {
    forbidden("consumers")
}

/// The plugin cannot be restricted to a service.
pub fn no_service() -> Field {
    forbidden("services")
}

/// The plugin cannot be restricted to a route.
pub fn no_route() -> Field {
    forbidden("routes")
}

fn forbidden(entity: &'static str) -> Field {
    Field::foreign_to("Not for this plugin.", entity).eq(Value::Null)
}

/// The consumer that a credential belongs to; it goes when the consumer goes.
pub fn owner(description: &'static str) -> Field {
    Field::foreign_to(description, "consumers")
        .required()
        .on_delete_cascade()
}

/// The protocols of a plugin for any traffic.
pub fn any_protocols() -> Field {
    protocols("The protocols for which the plugin runs.")
}

/// The protocols of a plugin for HTTP traffic.
pub fn http_protocols() -> Field {
    protocols_http("The protocols for which the plugin runs.")
}

/// An HTTP method in capital letters.
pub fn http_method(description: &'static str) -> Field {
    Field::string(description).matches("^%u+$")
}

/// How many seconds something lives.
pub fn ttl(description: &'static str) -> Field {
    const LONGEST: u32 = 100_000_000;
    Field::number(description).between(0, LONGEST)
}

/// How log entries, metrics and spans wait and are sent together.
pub fn queue() -> Field {
    Field::record("How entries wait and are sent together.", queue_fields()).required()
}

/// A queue whose batches have another size when nothing is said.
pub fn queue_with_batches_of(entries: u32) -> Field {
    queue().default(json!({ "max_batch_size": entries }))
}

fn queue_fields() -> Vec<(&'static str, Field)> {
    vec![
        (
            "max_batch_size",
            Field::integer("The most entries that are sent together.")
                .between(1, 1000000)
                .default(1),
        ),
        (
            "max_coalescing_delay",
            Field::number("How many seconds an entry waits for others to be sent with.")
                .between(0, 3600)
                .default(1),
        ),
        (
            "max_entries",
            Field::integer(
                "The most entries that wait; the oldest is dropped and counted \
                 when there are more.",
            )
            .between(1, 1000000)
            .default(10000),
        ),
        ("max_bytes", Field::integer("The most bytes that wait.")),
        (
            "max_retry_time",
            Field::number("For how many seconds sending is tried again; -1 for never.").default(60),
        ),
        (
            "initial_retry_delay",
            Field::number(
                "How many seconds the first retry waits; each next one waits \
                 twice as long.",
            )
            .between(0.001, 1000000)
            .default(0.01),
        ),
        (
            "max_retry_delay",
            Field::number("The most seconds that a retry waits.")
                .between(0.001, 1000000)
                .default(60),
        ),
        (
            "concurrency_limit",
            Field::integer(
                "How many batches are sent at the same time: one, or -1 for any \
                 number.",
            )
            .one_of(&[-1, 1])
            .default(1),
        ),
    ]
}

/// A Redis server.
pub fn redis() -> Field {
    Field::record("The Redis server.", redis_fields()).required()
}

/// The fields of [`redis`], for a record that has more of them.
pub fn redis_fields() -> Vec<(&'static str, Field)> {
    vec![
        ("host", host("The host.")),
        ("port", port("The port.").default(6379)),
        (
            "timeout",
            timeout(
                "How long connecting, writing and reading may take, in \
                 milliseconds.",
            )
            .default(2000),
        ),
        (
            "username",
            Field::string("The user to log in as; empty for the default user.").referenceable(),
        ),
        (
            "password",
            Field::string("The password to log in with; empty for none.")
                .encrypted()
                .referenceable()
                .len_min(0),
        ),
        (
            "database",
            Field::integer("The number of the database.").default(0),
        ),
        (
            "ssl",
            Field::boolean("Whether the connection uses TLS.")
                .optional()
                .default(false),
        ),
        (
            "ssl_verify",
            Field::boolean("Whether the server's certificate is verified.")
                .optional()
                .default(false),
        ),
        (
            "server_name",
            sni("The name that is asked for in the TLS handshake.").optional(),
        ),
    ]
}

/// Which tracing headers are read, removed and written; `default_format` is written where no trace came.
pub fn propagation(default_format: &'static str) -> Field {
    Field::record(
        "Which tracing headers are read, removed and written.",
        vec![
            (
                "extract",
                Field::array(
                    "The formats in which a trace of the client is sought, in this \
                     order.",
                    Field::string("")
                        .one_of(&["w3c", "datadog", "b3", "gcp", "jaeger", "aws", "ot"]),
                ),
            ),
            (
                "clear",
                Field::array(
                    "Headers that are removed before others are written.",
                    Field::string(""),
                ),
            ),
            (
                "inject",
                Field::array(
                    "The formats in which the trace is passed on.",
                    Field::string("").one_of(&[
                        "preserve",
                        "w3c",
                        "datadog",
                        "b3",
                        "gcp",
                        "b3-single",
                        "jaeger",
                        "aws",
                        "ot",
                    ]),
                ),
            ),
            (
                "default_format",
                Field::string("The format that is written when no trace came.")
                    .required()
                    .one_of(&[
                        "w3c",
                        "datadog",
                        "b3",
                        "gcp",
                        "b3-single",
                        "jaeger",
                        "aws",
                        "ot",
                    ]),
            ),
        ],
    )
    .required()
    .default(json!({ "default_format": default_format }))
}

/// A name of before that is still understood, for a field of the same record.
pub fn old_name(
    name: &'static str,
    field: Field,
    path: &'static [&'static str],
    replaced_with: &'static [&'static [&'static str]],
    message: &'static str,
) -> Shorthand {
    Shorthand::moved(
        name,
        field.deprecated(deprecation(message, replaced_with)),
        path,
    )
}

/// A deprecation whose fields go with the next major release.
pub fn deprecation(
    message: &'static str,
    replaced_with: &'static [&'static [&'static str]],
) -> schema::Deprecation {
    schema::Deprecation {
        message,
        removal_in_version: "4.0",
        replaced_with,
        old_default: None,
    }
}

/// A deprecated field that raises no warning while it has the value it used to have by default.
pub fn deprecation_but_for(
    message: &'static str,
    old_default: impl Into<Value>,
) -> schema::Deprecation {
    schema::Deprecation {
        old_default: Some(old_default.into()),
        ..deprecation(message, &[])
    }
}

/// Lua code by the name of the log field that it computes.
pub fn lua_code(description: &'static str) -> Field {
    Field::map(
        description,
        Field::string("").len_min(1),
        Field::string("").len_min(1),
    )
}

/// Whether Kong has shared memory of this name; the gateway itself has no use for the name.
pub fn check_shared_memory(name: &Value) -> Result<(), String> {
    const NAMES: &[&str] = &[
        "kong",
        "kong_locks",
        "kong_healthchecks",
        "kong_cluster_events",
        "kong_rate_limiting_counters",
        "kong_core_db_cache",
        "kong_core_db_cache_miss",
        "kong_db_cache",
        "kong_db_cache_miss",
        "kong_secrets",
        "prometheus_metrics",
    ];
    let name = name.as_str().unwrap_or_default();
    if NAMES.contains(&name) {
        return Ok(());
    }
    Err(format!("missing shared dict '{name}'"))
}
