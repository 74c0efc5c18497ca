//! response-ratelimiting: Limits what clients use up, as the upstream counts it in its answers.

mod handler;
mod limits;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};
use serde_json::Value;

use crate::limits as periods;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "response-ratelimiting",
    description: "Limits what clients use up, as the upstream counts it in its \
        answers.",
    version: BUNDLED_VERSION,
    priority: 900,
    phases: Phases::of(&[
        Phase::Access,
        Phase::HeaderFilter,
        Phase::BodyFilter,
        Phase::Log,
    ]),
    schema,
    without_database: Some(schema_without_database),
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    schema_with(periods::policy(&["local", "cluster", "redis"]))
}

fn schema_without_database() -> Subschema {
    schema_with(periods::policy(&["local", "redis"]))
}

fn schema_with(policy: Field) -> Subschema {
    Subschema::new("response-ratelimiting")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config(policy))
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
}

fn config(policy: Field) -> Field {
    let record = Field::record(
        "The settings of the plugin.",
        vec![
            (
                "header_name",
                Field::string("The answer header in which the upstream says what was used.")
                    .default("x-kong-limit"),
            ),
            (
                "limit_by",
                Field::string("What is counted together.")
                    .one_of(&["consumer", "credential", "ip"])
                    .default("consumer"),
            ),
            ("policy", policy),
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
                "block_on_first_violation",
                Field::boolean("Whether requests are refused as soon as one limit is reached.")
                    .required()
                    .default(false),
            ),
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
                "limits",
                Field::map(
                    "Limits by the name that the upstream uses.",
                    Field::string(""),
                    limit(),
                )
                .required()
                .len_min(1),
            ),
        ],
    )
    .required();
    periods::old_redis_names!(record, "response-ratelimiting")
}

fn limit() -> Field {
    Field::record("", periods::period_fields())
        .required()
        .check(Check::at_least_one_of(&periods::PERIODS))
        .custom(check_order)
}

fn check_order(limit: &Value) -> Result<(), String> {
    periods::check_order(limit, "the")
}

#[cfg(test)]
mod tests;
