//! ai-prompt-guard: Lets prompts through by regular expressions.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ai-prompt-guard",
    description: "Lets prompts through by regular expressions.",
    version: BUNDLED_VERSION,
    priority: 771,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ai-prompt-guard")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(Check::at_least_one_of(&[
            "config.allow_patterns",
            "config.deny_patterns",
        ]))
        .check(Check::conditional(
            "config.match_all_roles",
            Field::condition().eq(true),
            "config.allow_all_conversation_history",
            Field::condition().eq(false),
        ))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "allow_patterns",
                Field::array(
                    "Regular expressions of which a prompt must match one.",
                    Field::string("").len_min(1).len_max(500),
                )
                .optional()
                .len_max(10),
            ),
            (
                "deny_patterns",
                Field::array(
                    "Regular expressions of which a prompt may match none.",
                    Field::string("").len_min(1).len_max(500),
                )
                .optional()
                .len_max(10),
            ),
            (
                "allow_all_conversation_history",
                Field::boolean("Whether only the last message is looked at.")
                    .required()
                    .default(false),
            ),
            (
                "max_request_body_size",
                Field::integer("The most bytes of a body that are looked at.")
                    .gt(0)
                    .default(8192),
            ),
            (
                "match_all_roles",
                Field::boolean(
                    "Whether messages of all roles are looked at, not only those of \
                     the user.",
                )
                .required()
                .default(false),
            ),
            (
                "llm_format",
                Field::string("The format in which clients speak to the gateway.")
                    .optional()
                    .one_of(&["openai", "bedrock", "gemini"])
                    .default("openai"),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
