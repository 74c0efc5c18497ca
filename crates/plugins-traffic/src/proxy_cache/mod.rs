//! proxy-cache: Answers from a cache.

mod cache;
mod directives;
mod endpoints;
mod figures;
mod handler;
mod key;

pub use figures::METRICS;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Record, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "proxy-cache",
    description: "Answers from a cache.",
    version: BUNDLED_VERSION,
    priority: 100,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter, Phase::BodyFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin =
    Plugin::new(&DECLARATION, handler::build).with_endpoints(endpoints::ENDPOINTS);

fn schema() -> Subschema {
    Subschema::new("proxy-cache")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
        .check(Check::custom(&["config"], check_dictionary))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "response_code",
                Field::array(
                    "The statuses that are cached.",
                    Field::integer("").between(100, 900),
                )
                .required()
                .len_min(1)
                .default(vec![200, 301, 404]),
            ),
            (
                "request_method",
                Field::array(
                    "The methods whose answers are cached.",
                    Field::string("").one_of(&["HEAD", "GET", "POST", "PATCH", "PUT"]),
                )
                .required()
                .default(vec!["GET", "HEAD"]),
            ),
            (
                "content_type",
                Field::array("The media types that are cached.", Field::string(""))
                    .required()
                    .default(vec!["text/plain", "application/json"]),
            ),
            (
                "cache_ttl",
                Field::integer("How many seconds an answer is fresh.")
                    .gt(0)
                    .default(300),
            ),
            (
                "strategy",
                Field::string("Where answers are kept.")
                    .required()
                    .one_of(&["memory"]),
            ),
            (
                "cache_control",
                Field::boolean("Whether `Cache-Control` of requests and answers is heeded.")
                    .required()
                    .default(false),
            ),
            (
                "ignore_uri_case",
                Field::boolean("Whether paths that differ in case share an entry.")
                    .optional()
                    .default(false),
            ),
            (
                "storage_ttl",
                Field::integer(
                    "How many seconds an entry is kept; it may be longer than it is \
                     fresh.",
                ),
            ),
            (
                "memory",
                Field::record(
                    "The settings of the strategy `memory`.",
                    vec![(
                        "dictionary_name",
                        Field::string("The name of the shared memory.")
                            .required()
                            .default("kong_db_cache"),
                    )],
                )
                .required(),
            ),
            (
                "vary_query_params",
                Field::array(
                    "The query arguments that tell entries apart; all if it is empty.",
                    Field::string(""),
                ),
            ),
            (
                "vary_headers",
                Field::array("The headers that tell entries apart.", Field::string("")),
            ),
            (
                "response_headers",
                Field::record(
                    "Which headers are added to answers.",
                    vec![
                        (
                            "age",
                            Field::boolean("Whether `Age` is added.").default(true),
                        ),
                        (
                            "X-Cache-Status",
                            Field::boolean("Whether `X-Cache-Status` is added.").default(true),
                        ),
                        (
                            "X-Cache-Key",
                            Field::boolean("Whether `X-Cache-Key` is added.").default(true),
                        ),
                    ],
                )
                .required(),
            ),
        ],
    )
    .required()
}

fn check_dictionary(record: &Record, _now: i64) -> Result<(), String> {
    if schema::get_path(record, "config.strategy").is_none_or(|strategy| strategy != "memory") {
        return Ok(());
    }
    match schema::get_path(record, "config.memory.dictionary_name") {
        Some(name) => fields::check_shared_memory(name),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
