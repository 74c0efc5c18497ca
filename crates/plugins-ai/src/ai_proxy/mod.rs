//! ai-proxy: Sends requests to language models of many providers in one format.

mod asked;
mod handler;
mod request;
mod statistics;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

use crate::model;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ai-proxy",
    description: "Sends requests to language models of many providers in one \
        format.",
    version: BUNDLED_VERSION,
    priority: 770,
    phases: Phases::of(&[
        Phase::Access,
        Phase::Response,
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
    Subschema::new("ai-proxy")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(
            Check::conditional(
                "config.llm_format",
                Field::condition().one_of(&["bedrock", "gemini"]),
                "config.route_type",
                Field::condition().eq("llm/v1/chat"),
            )
            .error(
                "native provider options in llm_format can only be used with \
                 the 'llm/v1/chat' route_type",
            ),
        )
        .check(
            Check::conditional(
                "config.llm_format",
                Field::condition().eq("bedrock"),
                "config.model.provider",
                Field::condition().eq("bedrock"),
            )
            .error(
                "native llm_format 'bedrock' can only be used with the \
                 'bedrock' model.provider",
            ),
        )
        .check(
            Check::conditional(
                "config.llm_format",
                Field::condition().eq("gemini"),
                "config.model.provider",
                Field::condition().eq("gemini"),
            )
            .error(
                "native llm_format 'gemini' can only be used with the 'gemini' \
                 model.provider",
            ),
        )
}

fn config() -> Field {
    let mut all = model::model_fields();
    all.extend([
        (
            "response_streaming",
            Field::string("Whether answers may, may not or must be streamed.")
                .optional()
                .one_of(&["allow", "deny", "always"])
                .default("allow"),
        ),
        (
            "max_request_body_size",
            Field::integer("The most bytes of a body that are looked at.")
                .gt(0)
                .default(8192),
        ),
        (
            "model_name_header",
            Field::boolean("Whether answers name the model in the `X-Kong-LLM-Model` header.")
                .default(true),
        ),
        (
            "llm_format",
            Field::string("The format in which clients speak to the gateway.")
                .optional()
                .one_of(&["openai", "bedrock", "gemini"])
                .default("openai"),
        ),
    ]);
    model::with_checks(Field::record("The settings of the plugin.", all).required())
}

#[cfg(test)]
mod tests;
