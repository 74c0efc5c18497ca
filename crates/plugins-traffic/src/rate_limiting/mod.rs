//! rate-limiting: Limits how many requests are let through in a time.

mod handler;
mod headers;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

use crate::limits;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "rate-limiting",
    description: "Limits how many requests are let through in a time.",
    version: BUNDLED_VERSION,
    priority: 910,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: Some(schema_without_database),
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    schema_with(limits::policy(&["local", "cluster", "redis"]))
}

fn schema_without_database() -> Subschema {
    schema_with(limits::policy(&["local", "redis"]))
}

fn schema_with(policy: Field) -> Subschema {
    Subschema::new("rate-limiting")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config(policy))
        .check(Check::at_least_one_of(&[
            "config.second",
            "config.minute",
            "config.hour",
            "config.day",
            "config.month",
            "config.year",
        ]))
        .check(Check::conditional(
            "config.policy",
            Field::condition().eq("redis"),
            "config.redis.host",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.policy",
            Field::condition().eq("redis"),
            "config.redis.port",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.policy",
            Field::condition().eq("redis"),
            "config.redis.timeout",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.limit_by",
            Field::condition().eq("header"),
            "config.header_name",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.limit_by",
            Field::condition().eq("path"),
            "config.path",
            Field::condition().required(),
        ))
}

fn config(policy: Field) -> Field {
    let mut all = limits::period_fields();
    all.extend([
        (
            "limit_by",
            Field::string("What is counted together.")
                .one_of(&["consumer", "credential", "ip", "service", "header", "path"])
                .default("consumer"),
        ),
        (
            "header_name",
            fields::header_name("The header whose value is counted by."),
        ),
        ("path", fields::path("The path that is counted by.")),
        ("policy", policy.len_min(0)),
        (
            "fault_tolerant",
            Field::boolean(
                "Whether requests pass unlimited while the counters cannot be \
                 reached; otherwise they are refused with 500.",
            )
            .required()
            .default(true),
        ),
        ("redis", fields::redis()),
        (
            "hide_client_headers",
            Field::boolean(
                "Whether the headers that tell clients about their limits are \
                 left out.",
            )
            .required()
            .default(false),
        ),
        (
            "error_code",
            Field::number("The status of a refusal.").gt(0).default(429),
        ),
        (
            "error_message",
            Field::string("The message of a refusal.").default("API rate limit exceeded"),
        ),
        (
            "sync_rate",
            Field::number("Every how many seconds counters go to Redis; -1 for at once.")
                .required()
                .default(-1),
        ),
    ]);
    let record = Field::record("The settings of the plugin.", all)
        .required()
        .custom(check_config);
    limits::old_redis_names!(record, "rate-limiting")
}

fn check_config(config: &Value) -> Result<(), String> {
    const AT_ONCE: f64 = -1.0;
    const SHORTEST: f64 = 0.02;
    limits::check_order(config, "The")?;
    let sync_rate = config["sync_rate"].as_f64().unwrap_or(AT_ONCE);
    if sync_rate == AT_ONCE {
        return Ok(());
    }
    if config["policy"] != "redis" {
        return Err("sync_rate can only be used with the redis policy".to_owned());
    }
    if sync_rate < SHORTEST {
        return Err("sync_rate must be greater than 0.02, or -1 to disable".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
