//! One table for each entity: which column holds which field, and the statements over it.
//!
//! The types of the columns are not here: the server tells them when it prepares a statement, and `cell` converts.

use schema::{Kind, Record, Schema};
use serde_json::Value;
use store::{Catalog, Error, catalog};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::cell::{self, Cell, Micros, Read};

/// The field that Kong calls `ttl`; no declaration lists it.
pub(crate) const TTL: &str = "ttl";

/// The workspace that everything belongs to, as a query.
pub(crate) const WORKSPACE: &str = "(SELECT id FROM workspaces WHERE name = 'default')";

/// The tables of a store and the relations between them.
pub(crate) struct Tables {
    pub(crate) catalog: Catalog,
    pub(crate) tables: Vec<Table>,
}

impl Tables {
    pub(crate) fn new(catalog: Catalog) -> Self {
        let tables = catalog.parents_first().map(Table::new).collect();
        Self { catalog, tables }
    }

    /// The table of an entity.
    pub(crate) fn of(&self, schema: &Schema) -> Result<&Table, Error> {
        let found = self
            .tables
            .iter()
            .find(|table| table.schema.name == schema.name);
        found.ok_or_else(|| Error::Database(format!("there is no table for {}", schema.name)))
    }

    /// The entity that a table of the database holds.
    pub(crate) fn entity_of(&self, table: &str) -> Option<&'static str> {
        let mut tables = self.tables.iter().map(|table| table.schema);
        let found = tables.find(|schema| schema.table == table);
        found.map(|schema| schema.name)
    }
}

/// An entity's table and the statements over it.
pub(crate) struct Table {
    pub(crate) schema: &'static Schema,
    pub(crate) columns: Vec<Column>,
    pub(crate) tagged: bool,
    /// `"id", "name", …`, for SELECT.
    pub(crate) column_list: String,
    /// Values of all columns, then of the cache key and of the workspace where the table has them.
    pub(crate) insert: String,
    /// The same values; changes no row if there is none with the id.
    pub(crate) update: String,
    /// The same values.
    pub(crate) upsert: String,
}

/// The column of one field.
pub(crate) struct Column {
    pub(crate) field: &'static str,
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What a column holds.
pub(crate) enum Content {
    Field(&'static Kind),
    /// The moment at which the row expires; records count the seconds until then.
    Expiry,
}

/// An SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Whether the fields of the cache key are unique together, which takes a column of its own.
pub(crate) fn has_cache_key(schema: &Schema) -> bool {
    schema.cache_key.len() > 1
}

impl Table {
    fn new(schema: &'static Schema) -> Self {
        let mut columns: Vec<_> = catalog::stored_fields(schema)
            .map(|(field, declaration)| Column {
                field,
                name: match declaration.foreign() {
                    Some(_) => format!("{field}_id"),
                    None => field.to_owned(),
                },
                content: Content::Field(declaration.kind()),
            })
            .collect();
        if schema.ttl {
            columns.push(Column {
                field: TTL,
                name: TTL.to_owned(),
                content: Content::Expiry,
            });
        }
        // Perf: a map takes its fields in order of name fastest, and loading builds very many maps.
        columns.sort_by_key(|column| column.field);
        let mut names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
        let column_list = names.join(", ");
        names.extend(has_cache_key(schema).then(|| quoted("cache_key")));
        names.extend(schema.workspaceable.then(|| quoted("ws_id")));
        let table = quoted(schema.table);
        let insert = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            list((1..=names.len()).map(|n| format!("${n}")))
        );
        let is_key = |name: &str| name == "\"id\"" || name == "\"ws_id\"";
        let numbered = || names.iter().enumerate();
        let keys = numbered().filter(|(_, name)| is_key(name));
        let others = || numbered().filter(|(_, name)| !is_key(name));
        let equals = |(n, name): (usize, &String)| format!("{name} = ${}", n + 1);
        let keys: Vec<_> = keys.map(equals).collect();
        Self {
            tagged: columns.iter().any(|column| column.field == "tags"),
            update: format!(
                "UPDATE {table} SET {} WHERE {}",
                list(others().map(equals)),
                keys.join(" AND ")
            ),
            upsert: format!(
                "{insert} ON CONFLICT (\"id\") DO UPDATE SET {}",
                list(others().map(|(_, name)| format!("{name} = EXCLUDED.{name}")))
            ),
            insert,
            column_list,
            schema,
            columns,
        }
    }

    /// The table's name as an SQL identifier.
    pub(crate) fn name(&self) -> String {
        quoted(self.schema.table)
    }

    /// The column that holds a field.
    pub(crate) fn column_of(&self, field: &str) -> Result<&Column, Error> {
        let found = self.columns.iter().find(|column| column.field == field);
        found.ok_or_else(|| Error::Database(format!("{} has no field {field}", self.schema.name)))
    }

    /// The field that a column holds.
    pub(crate) fn field_of(&self, column: &str) -> Option<&'static str> {
        let found = self.columns.iter().find(|found| found.name == column);
        found.map(|found| found.field)
    }

    /// The values of a record for the parameters of [`Self::insert`], [`Self::update`] or [`Self::upsert`].
    pub(crate) fn encode(
        &self,
        record: &Record,
        types: &[Type],
        workspace: Option<Uuid>,
        now: Micros,
    ) -> Result<Vec<Cell>, Error> {
        let mut cells = Vec::with_capacity(types.len());
        for (column, ty) in self.columns.iter().zip(types) {
            let value = record.get(column.field).unwrap_or(&Value::Null);
            let cell = match column.content {
                Content::Field(_) => cell::encode(value, ty),
                Content::Expiry => Some(expiry(value, now)),
            };
            cells.push(
                cell.ok_or_else(|| Error::does_not_fit(self.schema.name, column.field, value))?,
            );
        }
        if has_cache_key(self.schema) {
            cells.push(Cell::Text(cache_key(self.schema, record, workspace)));
        }
        if self.schema.workspaceable {
            cells.push(workspace.map_or(Cell::Null, Cell::Id));
        }
        Ok(cells)
    }

    /// The row that [`Self::column_list`] selects, as a record.
    pub(crate) fn decode(&self, row: &Row, now: Micros) -> Result<Record, Error> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            let read: Read = row.try_get(index).map_err(|error| {
                let (entity, name) = (self.schema.name, &column.name);
                Error::Database(format!("a row of {entity} has an unusable {name}: {error}"))
            })?;
            let value = match column.content {
                Content::Field(kind) => read.into_value(kind),
                Content::Expiry => match read.into_time() {
                    Some(expiry) => (expiry.0 - now.0).div_euclid(1_000_000).into(),
                    None => continue,
                },
            };
            fields.push((column.field.to_owned(), value));
        }
        Ok(fields.into_iter().collect())
    }
}

/// When a record with this `ttl` expires; zero is never, as in Kong.
fn expiry(ttl: &Value, now: Micros) -> Cell {
    match ttl.as_i64() {
        Some(seconds) if seconds != 0 => {
            let micros = seconds.saturating_mul(1_000_000);
            Cell::Time(Micros(now.0.saturating_add(micros)))
        }
        _ => Cell::Null,
    }
}

/// The entity whose cache key has a form of its own.
const KEYS: &str = "keys";

/// The entity whose records are unique across workspaces, and so are their cache keys.
const VAULTS: &str = "vaults";

/// The text by which Kong's nodes cache the record: the entity, five values, and the workspace.
///
/// Compat: that of a key is shorter, and that of a vault has no workspace (pinned by
/// `rows_of_kong_are_served_and_written_the_same` and `kong_is_told_what_it_tells_itself`).
pub(crate) fn cache_key(schema: &Schema, record: &Record, workspace: Option<Uuid>) -> String {
    let text = |field: &str| match record.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(reference)) => Some(reference.get("id")?.as_str()?.to_owned()),
        Some(other) => Some(other.to_string()),
    };
    let mut values: Vec<_> = schema.cache_key.iter().map(|field| text(field)).collect();
    if schema.name == KEYS {
        let values = values.into_iter().map(Option::unwrap_or_default);
        return [KEYS.to_owned()]
            .into_iter()
            .chain(values)
            .collect::<Vec<_>>()
            .join(":");
    }
    if values.iter().all(Option::is_none) {
        values = vec![text(schema.primary_key)];
    }
    values.resize(values.len().max(5), None);
    let mut key = schema.name.to_owned();
    for value in values {
        key.push(':');
        key.push_str(value.as_deref().unwrap_or_default());
    }
    key.push(':');
    if let Some(workspace) = workspace.filter(|_| schema.workspaceable && schema.name != VAULTS) {
        key.push_str(&workspace.to_string());
    }
    key
}
