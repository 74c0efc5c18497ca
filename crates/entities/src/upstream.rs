//! An upstream: a name that stands for several addresses, and how requests are spread over them.

mod options;

use schema::{Check, Field, Record, Schema, Shorthand};
use serde_json::{Value, json};

use crate::address::{Address, HostKind};
use crate::fields::{self, text};

pub use options::UpstreamOptions;

const HASH_INPUTS: &[&str] = &[
    "none",
    "consumer",
    "ip",
    "header",
    "cookie",
    "path",
    "query_arg",
    "uri_capture",
];

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new(
        "upstreams",
        "A virtual host whose requests are balanced over targets.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as(
        "name",
        Field::string("The host name that services use for it.")
            .required()
            .unique()
            .custom(validate_name),
    )
    .field_as("updated_at", fields::updated_at())
    .field_as(
        "algorithm",
        Field::string("How a target is chosen.")
            .default("round-robin")
            .one_of(&[
                "consistent-hashing",
                "least-connections",
                "round-robin",
                "latency",
            ]),
    )
    .field_as("hash_on", hash_input("What a request is hashed by."))
    .field_as(
        "hash_fallback",
        hash_input("What a request is hashed by that lacks the first input."),
    )
    .field_as(
        "hash_on_header",
        fields::header_name("The header to hash by."),
    )
    .field_as(
        "hash_fallback_header",
        fields::header_name("The header to hash by in the second place."),
    )
    .field_as(
        "hash_on_cookie",
        fields::cookie_name("The cookie to hash by; it is set if it is missing."),
    )
    .field_as(
        "hash_on_cookie_path",
        fields::path("The path of the cookie that is set.").default("/"),
    )
    .field_as(
        "hash_on_query_arg",
        parameter("The query argument to hash by."),
    )
    .field_as(
        "hash_fallback_query_arg",
        parameter("The query argument to hash by in the second place."),
    )
    .field_as(
        "hash_on_uri_capture",
        parameter("The capture of the route's path to hash by."),
    )
    .field_as(
        "hash_fallback_uri_capture",
        parameter("The capture to hash by in the second place."),
    )
    .field_as(
        "slots",
        Field::integer("How finely the hash space is divided.")
            .default(10000)
            .between(10, 65536)
            .never_null(),
    )
    .field_as("healthchecks", healthchecks())
    .field_as("tags", fields::tags_and(validate_option))
    .field_as(
        "host_header",
        fields::host_with_optional_port("The Host header of requests to the targets."),
    )
    .field_as(
        "client_certificate",
        Field::foreign_to(
            "The certificate that the gateway shows to the targets.",
            "certificates",
        ),
    )
    .field_as(
        "use_srv_name",
        Field::boolean("Whether the name in an SRV record becomes the Host header.").default(false),
    );
    schema.endpoint_key = Some("name");
    schema.shape.checks = checks();
    schema
        .shorthand(Shorthand::new(
            "algorithm",
            Field::string("How a target is chosen."),
            expand_algorithm,
        ))
        .shorthand(Shorthand::new(
            "hash_on",
            Field::string("What a request is hashed by."),
            expand_hash_on,
        ))
}

fn hash_input(description: &'static str) -> Field {
    Field::string(description)
        .default("none")
        .one_of(HASH_INPUTS)
}

/// Tags that look like settings of ours must be such settings.
fn validate_option(tag: &Value) -> Result<(), String> {
    fields::validate_tag(tag)?;
    UpstreamOptions::default().take(text(tag))
}

fn parameter(description: &'static str) -> Field {
    Field::string(description).len_min(1)
}

fn checks() -> Vec<Check> {
    let is = |pattern: &'static str| Field::condition().matches(pattern);
    let needs = |on, pattern, field| {
        Check::conditional(on, is(pattern), field, Field::condition().required())
    };
    let fallback_is = |pattern, options: &[&'static str]| {
        Check::conditional(
            "hash_on",
            is(pattern),
            "hash_fallback",
            Field::condition().one_of(options),
        )
    };
    vec![
        needs("hash_on", "^header$", "hash_on_header"),
        needs("hash_fallback", "^header$", "hash_fallback_header"),
        needs("hash_on", "^cookie$", "hash_on_cookie"),
        needs("hash_fallback", "^cookie$", "hash_on_cookie"),
        fallback_is("^none$", &["none"]),
        fallback_is("^cookie$", &["none"]),
        fallback_is(
            "^consumer$",
            &[
                "none",
                "ip",
                "header",
                "cookie",
                "path",
                "query_arg",
                "uri_capture",
            ],
        ),
        fallback_is(
            "^ip$",
            &[
                "none",
                "consumer",
                "header",
                "cookie",
                "path",
                "query_arg",
                "uri_capture",
            ],
        ),
        fallback_is(
            "^path$",
            &[
                "none",
                "consumer",
                "header",
                "cookie",
                "query_arg",
                "ip",
                "uri_capture",
            ],
        ),
        Check::distinct(&["hash_on_header", "hash_fallback_header"]),
        needs("hash_on", "^query_arg$", "hash_on_query_arg"),
        needs("hash_fallback", "^query_arg$", "hash_fallback_query_arg"),
        Check::distinct(&["hash_on_query_arg", "hash_fallback_query_arg"]),
        needs("hash_on", "^uri_capture$", "hash_on_uri_capture"),
        needs(
            "hash_fallback",
            "^uri_capture$",
            "hash_fallback_uri_capture",
        ),
        Check::distinct(&["hash_on_uri_capture", "hash_fallback_uri_capture"]),
    ]
}

fn healthchecks() -> Field {
    let (passive, active) = (passive_defaults(), active_defaults());
    let defaults = json!({ "passive": passive, "active": active });
    Field::record(
        "How targets are found to be healthy or not.",
        vec![
            ("passive", passive_checks(&passive)),
            ("active", active_checks(&active)),
            (
                "threshold",
                Field::number("The share of the weight, in per cent, that must be healthy for the upstream to be healthy.")
                    .default(0)
                    .between(0, 100),
            ),
        ],
    )
    .required()
    .default(defaults)
}

fn passive_defaults() -> Value {
    json!({
        "type": "http",
        "healthy": {
            "http_statuses":
                [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
            "successes": 0,
        },
        "unhealthy": { "http_statuses": [429, 500, 503], "tcp_failures": 0, "timeouts": 0, "http_failures": 0 },
    })
}

fn active_defaults() -> Value {
    json!({
        "type": "http",
        "timeout": 1,
        "concurrency": 10,
        "http_path": "/",
        "https_verify_certificate": true,
        "healthy": { "interval": 0, "http_statuses": [200, 302], "successes": 0 },
        "unhealthy": {
            "interval": 0,
            "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505],
            "tcp_failures": 0,
            "timeouts": 0,
            "http_failures": 0,
        },
    })
}

fn passive_checks(defaults: &Value) -> Field {
    let (healthy, unhealthy) = (&defaults["healthy"], &defaults["unhealthy"]);
    Field::record(
        "Checks that watch the traffic.",
        vec![
            (
                "healthy",
                Field::record(
                    "What makes a target healthy.",
                    vec![
                        ("successes", successes()),
                        ("http_statuses", statuses(&healthy["http_statuses"])),
                    ],
                )
                .required()
                .default(healthy.clone()),
            ),
            ("type", check_type()),
            (
                "unhealthy",
                Field::record(
                    "What makes a target unhealthy.",
                    failures(&unhealthy["http_statuses"]),
                )
                .required()
                .default(unhealthy.clone()),
            ),
        ],
    )
    .required()
    .default(defaults.clone())
}

fn active_checks(defaults: &Value) -> Field {
    let (healthy, unhealthy) = (&defaults["healthy"], &defaults["unhealthy"]);
    let mut unhealthy_fields = vec![(
        "interval",
        interval("Seconds between probes of unhealthy targets; 0 is never."),
    )];
    unhealthy_fields.extend(failures(&unhealthy["http_statuses"]));
    Field::record(
        "Checks that send probes.",
        vec![
            (
                "http_path",
                fields::path("The path of a probe.").default("/"),
            ),
            (
                "timeout",
                Field::number("Seconds until a probe fails.")
                    .default(1)
                    .between(0, 65535),
            ),
            (
                "headers",
                fields::headers("Headers of a probe.", fields::header_name("")).optional(),
            ),
            (
                "concurrency",
                Field::integer("How many targets are probed at a time.")
                    .default(10)
                    .between(1, 2_147_483_648_u32),
            ),
            ("type", check_type()),
            (
                "unhealthy",
                Field::record("What makes a target unhealthy.", unhealthy_fields)
                    .required()
                    .default(unhealthy.clone()),
            ),
            (
                "https_sni",
                fields::sni("The server name that a probe over TLS asks for.").optional(),
            ),
            (
                "https_verify_certificate",
                Field::boolean("Whether a probe over TLS verifies the certificate.")
                    .required()
                    .default(true),
            ),
            (
                "healthy",
                Field::record(
                    "What makes a target healthy.",
                    vec![
                        ("successes", successes()),
                        (
                            "interval",
                            interval("Seconds between probes of healthy targets; 0 is never."),
                        ),
                        ("http_statuses", statuses(&healthy["http_statuses"])),
                    ],
                )
                .required()
                .default(healthy.clone()),
            ),
        ],
    )
    .required()
    .default(defaults.clone())
}

fn check_type() -> Field {
    Field::string("The protocol of the checks.")
        .default("http")
        .one_of(&["tcp", "http", "https", "grpc", "grpcs"])
}

fn interval(description: &'static str) -> Field {
    Field::number(description).default(0).between(0, 65535)
}

fn counter(description: &'static str) -> Field {
    Field::integer(description).default(0).between(0, 255)
}

fn successes() -> Field {
    counter("Successes in a row after which a target is healthy; 0 is never.")
}

fn statuses(default: &Value) -> Field {
    Field::array(
        "The status codes that count.",
        Field::integer("").between(100, 999),
    )
    .default(default.clone())
}

fn failures(http_statuses: &Value) -> Vec<(&'static str, Field)> {
    vec![
        (
            "tcp_failures",
            counter("Failed connections after which a target is unhealthy; 0 is never."),
        ),
        (
            "timeouts",
            counter("Timeouts after which a target is unhealthy; 0 is never."),
        ),
        (
            "http_failures",
            counter("Responses of these statuses after which a target is unhealthy; 0 is never."),
        ),
        ("http_statuses", statuses(http_statuses)),
    ]
}

fn validate_name(value: &Value) -> Result<(), String> {
    let name = text(value);
    let reason = match Address::parse(name) {
        Err(_) => "must be a valid hostname",
        Ok(address) if address.kind != HostKind::Name => "no ip addresses allowed",
        Ok(address) if address.port.is_some() => "no port allowed",
        Ok(_) => return Ok(()),
    };
    Err(format!("Invalid name ('{name}'); {reason}"))
}

/// Compat: an algorithm that does not hash takes the hash input back
/// (`hash_inputs_and_algorithms_choose_each_other`).
fn expand_algorithm(value: &Value) -> Option<Record> {
    let mut fields = Record::from_iter([("algorithm".to_owned(), value.clone())]);
    if matches!(value.as_str(), Some("least-connections" | "latency")) {
        fields.insert("hash_on".to_owned(), Value::Null);
    }
    Some(fields)
}

/// Compat: a hash input chooses consistent hashing, and `none` takes it back
/// (`hash_inputs_and_algorithms_choose_each_other`).
fn expand_hash_on(value: &Value) -> Option<Record> {
    let mut fields = Record::from_iter([("hash_on".to_owned(), value.clone())]);
    match value.as_str() {
        None => {
            fields.insert("hash_on".to_owned(), "none".into());
        }
        Some("none") => {
            fields.insert("algorithm".to_owned(), "round-robin".into());
        }
        Some(_) => {
            fields.insert("algorithm".to_owned(), "consistent-hashing".into());
        }
    }
    Some(fields)
}
