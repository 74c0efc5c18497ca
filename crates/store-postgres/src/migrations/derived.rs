//! Tables of entities that Kong's schema does not have, from their declarations, in the manner of Kong's.

use std::fmt::Write as _;

use schema::{Field, Kind, OnDelete};
use store::{Catalog, catalog};

use crate::table::{Content, TTL, Table, has_cache_key, quoted};

/// The statements that make the table of an entity with its constraints and indexes.
pub(super) fn create(table: &Table, catalog: &Catalog) -> String {
    let (name, schema) = (table.name(), table.schema);
    let mut parts = Vec::new();
    let mut indexes = String::new();
    let mut index = |column: &str, using: &str| {
        let index = quoted(&format!("{}_{column}_idx", schema.table));
        // A String takes any text that is written to it.
        let _ = write!(
            indexes,
            "CREATE INDEX {index} ON {name} {using}({});",
            quoted(column)
        );
    };
    for column in &table.columns {
        let declaration = schema.field(column.field);
        let ty = match (&column.content, declaration) {
            (Content::Expiry, _) | (_, None) => "timestamp with time zone",
            (Content::Field(_), Some(field)) => column_type(field),
        };
        let mut part = format!("{} {ty}", quoted(&column.name));
        if column.field == "id" {
            part.push_str(" PRIMARY KEY");
        }
        if let Some(foreign) = catalog::foreign(schema, column.field) {
            index(&column.name, "");
            if let Some(parent) = catalog.get(foreign.reference) {
                let parent = quoted(parent.table);
                let _ = write!(part, " REFERENCES {parent} (\"id\")");
                if foreign.on_delete == OnDelete::Cascade {
                    part.push_str(" ON DELETE CASCADE");
                }
            }
        }
        match column.field {
            "tags" => index("tags", "USING gin "),
            TTL => index(TTL, ""),
            _ => {}
        }
        parts.push(part);
    }
    parts.extend(has_cache_key(schema).then(|| "\"cache_key\" text UNIQUE".to_owned()));
    if schema.workspaceable {
        parts.push("\"ws_id\" uuid REFERENCES workspaces (\"id\")".to_owned());
    }
    for (field, declaration) in schema.unique_fields().filter(|(field, _)| *field != "id") {
        let field = quoted(field);
        let of_workspace = schema.workspaceable && !declaration.is_unique_across_workspaces();
        parts.push(match of_workspace {
            true => format!("UNIQUE (\"ws_id\", {field})"),
            false => format!("UNIQUE ({field})"),
        });
    }
    format!("CREATE TABLE {name} ({}); {indexes}", parts.join(", "))
}

/// The type of column that Kong gives to such a field.
fn column_type(field: &Field) -> &'static str {
    match field.kind() {
        Kind::Foreign(_) => "uuid",
        Kind::String if field.is_uuid() => "uuid",
        Kind::String => "text",
        Kind::Integer | Kind::Number if field.is_timestamp() => "timestamp with time zone",
        Kind::Integer => "bigint",
        Kind::Number => "double precision",
        Kind::Boolean => "boolean",
        Kind::Array(element) | Kind::Set(element) if matches!(element.kind(), Kind::String) => {
            "text[]"
        }
        _ => "jsonb",
    }
}
