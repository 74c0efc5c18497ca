//! ai-prompt-template: Makes prompts from templates that clients fill in.

mod handler;
mod template;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ai-prompt-template",
    description: "Makes prompts from templates that clients fill in.",
    version: BUNDLED_VERSION,
    priority: 773,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ai-prompt-template")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "templates",
                Field::array(
                    "The templates that clients may name.",
                    Field::record(
                        "",
                        vec![
                            (
                                "name",
                                Field::string("The name by which a client asks for it.").required(),
                            ),
                            (
                                "template",
                                Field::string("The request with `{{placeholders}}`.").required(),
                            ),
                        ],
                    )
                    .required(),
                )
                .required(),
            ),
            (
                "allow_untemplated_requests",
                Field::boolean("Whether requests that name no template are let through.")
                    .required()
                    .default(true),
            ),
            (
                "log_original_request",
                Field::boolean("Whether the client's request is logged as it came.")
                    .required()
                    .default(false),
            ),
            (
                "max_request_body_size",
                Field::integer("The most bytes of a body that are looked at.")
                    .gt(0)
                    .default(8192),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
