//! ai-prompt-decorator: Puts messages before and after those of a conversation with a language model.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ai-prompt-decorator",
    description: "Puts messages before and after those of a conversation with a \
        language model.",
    version: BUNDLED_VERSION,
    priority: 772,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ai-prompt-decorator")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
        .check(Check::at_least_one_of(&[
            "config.prompts.prepend",
            "config.prompts.append",
        ]))
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "prompts",
                Field::record(
                    "The messages that are added to each conversation.",
                    vec![
                        (
                            "prepend",
                            messages(
                                "Messages that are put before those of the client, in this order.",
                            ),
                        ),
                        (
                            "append",
                            messages(
                                "Messages that are put after those of the client, in this order.",
                            ),
                        ),
                    ],
                )
                .optional(),
            ),
            (
                "max_request_body_size",
                Field::integer("The most bytes of a body that are looked at.")
                    .gt(0)
                    .default(8192),
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

fn messages(description: &'static str) -> Field {
    let message = Field::record(
        "",
        vec![
            (
                "role",
                Field::string("Who speaks.")
                    .required()
                    .one_of(&["system", "assistant", "user"])
                    .default("system"),
            ),
            (
                "content",
                Field::string("What is said.")
                    .required()
                    .len_min(1)
                    .len_max(500),
            ),
        ],
    );
    Field::array(description, message.optional())
        .optional()
        .len_max(15)
}

#[cfg(test)]
mod tests;
