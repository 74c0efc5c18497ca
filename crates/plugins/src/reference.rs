//! The page that lists all plugins, from their declarations.

use std::fmt::Write;

use plugin_api::{Phase, Plugin};
use serde_json::Value;

use crate::PLUGINS;

/// Every bundled plugin as a row of a table, in the order in which they have their turns.
pub fn reference_markdown() -> String {
    let mut plugins: Vec<&Plugin> = PLUGINS.iter().collect();
    plugins.sort_by_key(|plugin| -plugin.declaration.priority);
    let mut page = "# Plugins\n\n\
        In each phase, plugins with a higher priority have their turns first.\n\
        A plugin that does not run yet can be configured and shown; requests that it applies to are refused.\n\n\
        | plugin | what it does | version | priority | phases | of a | protocols | runs |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for plugin in plugins {
        let declaration = plugin.declaration;
        let schema = (declaration.schema)().declared_json();
        let phases = Phase::ALL.into_iter();
        let phases = phases.filter(|phase| declaration.phases.contains(*phase));
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
            declaration.name,
            declaration.description.trim_end_matches('.'),
            declaration.version,
            declaration.priority,
            phases.map(Phase::name).collect::<Vec<_>>().join(", "),
            scopes(&schema).join(", "),
            protocols(&schema).join(", "),
            if plugin.build.is_some() { "yes" } else { "no" },
        );
    }
    page
}

/// A field of a declared shape.
fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = schema.get("fields")?.as_array()?;
    fields.iter().find_map(|field| field.get(name))
}

/// What a plugin can be restricted to, besides applying to all requests.
fn scopes(schema: &Value) -> Vec<&'static str> {
    let allowed = |scope: &&str| {
        let declared = field(schema, scope);
        declared.is_none_or(|field| field.get("eq") != Some(&Value::Null))
    };
    ["route", "service", "consumer"]
        .into_iter()
        .filter(allowed)
        .collect()
}

/// The protocols for which a plugin runs when nothing is said.
fn protocols(schema: &Value) -> Vec<&str> {
    let default = field(schema, "protocols").and_then(|field| field.get("default")?.as_array());
    let default = default.into_iter().flatten();
    default.filter_map(Value::as_str).collect()
}
