//! request-transformer: Changes requests before the upstream gets them.

mod body;
mod handler;
mod named;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};
use serde_json::Value;

use crate::lists;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "request-transformer",
    description: "Changes requests before the upstream gets them.",
    version: BUNDLED_VERSION,
    priority: 801,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("request-transformer")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    let fields = vec![
        (
            "http_method",
            fields::http_method("The method that the upstream sees."),
        ),
        (
            "remove",
            Field::record(
                "What is taken away.",
                parts(names(), header_names(), names()),
            )
            .required(),
        ),
        (
            "rename",
            Field::record(
                "What gets another name, as `old:new`.",
                parts(pairs(), renamed_headers(), pairs()),
            )
            .required(),
        ),
        ("replace", {
            let mut parts = parts(pairs(), headers(), pairs());
            parts.push(("uri", Field::string("The path.")));
            Field::record(
                "What gets another value where it is there, as `name:value`.",
                parts,
            )
            .required()
        }),
        (
            "add",
            Field::record(
                "What is added where it is not there, as `name:value`.",
                parts(pairs(), headers(), pairs()),
            )
            .required(),
        ),
        (
            "append",
            Field::record(
                "What is added in any case, as `name:value`.",
                parts(pairs(), headers(), pairs()),
            )
            .required(),
        ),
    ];
    Field::record("The settings of the plugin.", fields).required()
}

/// The parts of a request that are changed.
fn parts(body: Field, headers: Field, query: Field) -> Vec<(&'static str, Field)> {
    vec![
        ("body", body.described("Fields of the body.")),
        ("headers", headers.described("Headers.")),
        ("querystring", query.described("Query arguments.")),
    ]
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
    list(Field::string("").custom(lists::check_value))
}

fn header_names() -> Field {
    list(Field::string("").custom(lists::check_header))
}

fn headers() -> Field {
    list(
        Field::string("")
            .matches(lists::PAIR)
            .custom(lists::check_header),
    )
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
