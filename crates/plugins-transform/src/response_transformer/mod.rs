//! response-transformer: Changes answers before the client gets them.

mod handler;
mod json;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

use crate::lists;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "response-transformer",
    description: "Changes answers before the client gets them.",
    version: BUNDLED_VERSION,
    priority: 800,
    phases: Phases::of(&[Phase::HeaderFilter, Phase::BodyFilter]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("response-transformer")
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    let fields = vec![
        (
            "remove",
            Field::record("What is taken away.", parts(names(), None, names())).required(),
        ),
        (
            "rename",
            Field::record(
                "What gets another name, as `old:new`.",
                parts(pairs(), None, renamed_headers()),
            )
            .required(),
        ),
        (
            "replace",
            Field::record(
                "What gets another value where it is there, as `name:value`.",
                parts(pairs(), Some(json_types()), pairs()),
            )
            .required(),
        ),
        (
            "add",
            Field::record(
                "What is added where it is not there, as `name:value`.",
                parts(pairs(), Some(json_types()), pairs()),
            )
            .required(),
        ),
        (
            "append",
            Field::record(
                "What is added in any case, as `name:value`.",
                parts(pairs(), Some(json_types()), pairs()),
            )
            .required(),
        ),
    ];
    Field::record("The settings of the plugin.", fields).required()
}

/// The parts of an answer that are changed.
fn parts(json: Field, types: Option<Field>, headers: Field) -> Vec<(&'static str, Field)> {
    let mut parts = vec![("json", json.described("Fields of a JSON body."))];
    parts.extend(types.map(|types| ("json_types", types)));
    parts.push(("headers", headers.described("Headers.")));
    parts
}

fn json_types() -> Field {
    list(Field::string("").one_of(&["boolean", "number", "string"]))
        .described("The types of the JSON values, in the same order.")
}

fn list(elements: Field) -> Field {
    Field::array("", elements)
        .required()
        .default(Vec::<Value>::new())
}

fn names() -> Field {
    list(Field::string(""))
}

fn pairs() -> Field {
    list(Field::string("").matches(lists::PAIR))
}

fn renamed_headers() -> Field {
    list(
        Field::string("")
            .matches(lists::PAIR)
            .custom(lists::check_both_headers),
    )
}

#[cfg(test)]
mod tests;
