//! One table for each entity: a column for each field, readable with the `sqlite3` shell.
//!
//! Text, numbers and booleans are columns of their own type, a reference `service` is the column `service_id`,
//! and lists and records are JSON text.
//! Everything here is derived from the declaration once, at start.

use std::fmt::Write as _;

use rusqlite::Row;
use rusqlite::types::{Value as Cell, ValueRef};
use schema::{Field, Kind, OnDelete, Record, Schema};
use serde_json::{Number, Value, json};
use store::catalog::{self, UniqueKey};
use store::{Catalog, DEFAULT_WORKSPACE, Error};

/// One row, its cells in the order of the table's columns.
pub(crate) type Cells = Vec<Cell>;

/// An entity's table and the statements over it.
pub(crate) struct Table {
    pub(crate) schema: &'static Schema,
    columns: Vec<Column>,
    pub(crate) unique_keys: Vec<UniqueKey>,
    pub(crate) tagged: bool,
    /// `"id", "name", …`, for SELECT.
    pub(crate) column_list: String,
    pub(crate) insert: String,
    pub(crate) update: String,
    pub(crate) upsert: String,
}

struct Column {
    field: &'static str,
    name: String,
    kind: ColumnKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Text,
    Integer,
    Number,
    Boolean,
    Foreign,
    Json,
    /// The moment at which the row expires; records count the seconds until then.
    Expiry,
}

impl ColumnKind {
    fn of(field: &Field) -> Self {
        match field.kind() {
            Kind::String => Self::Text,
            Kind::Integer => Self::Integer,
            Kind::Number => Self::Number,
            Kind::Boolean => Self::Boolean,
            Kind::Foreign(_) => Self::Foreign,
            _ => Self::Json,
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Foreign | Self::Json => "TEXT",
            Self::Integer | Self::Boolean | Self::Expiry => "INTEGER",
            Self::Number => "ANY",
        }
    }
}

/// The field that Kong calls `ttl`; no declaration lists it.
const TTL: &str = "ttl";

/// An SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

impl Table {
    pub(crate) fn new(schema: &'static Schema) -> Self {
        let mut columns: Vec<_> = catalog::stored_fields(schema)
            .map(|(field, declaration)| {
                let kind = ColumnKind::of(declaration);
                let name = if kind == ColumnKind::Foreign {
                    format!("{field}_id")
                } else {
                    field.to_owned()
                };
                Column { field, name, kind }
            })
            .collect();
        if schema.ttl {
            columns.push(Column {
                field: TTL,
                name: TTL.to_owned(),
                kind: ColumnKind::Expiry,
            });
        }
        // Perf: a map takes its fields in order of name fastest, and loading builds very many maps.
        columns.sort_by_key(|column| column.field);
        let table = quoted(schema.name);
        let names = || columns.iter().map(|column| quoted(&column.name));
        let column_list = list(names());
        let places = list((1..=columns.len()).map(|n| format!("?{n}")));
        let assign = |n: usize, column: &Column| format!("{} = ?{}", quoted(&column.name), n + 1);
        let excluded = |name: String| format!("{name} = excluded.{name}");
        let id = columns.iter().position(|c| c.field == "id").unwrap_or(0) + 1;
        let insert = format!("INSERT INTO {table} ({column_list}) VALUES ({places})");
        Self {
            unique_keys: catalog::unique_keys(schema),
            tagged: columns.iter().any(|column| column.field == "tags"),
            update: format!(
                "UPDATE {table} SET {} WHERE \"id\" = ?{id}",
                list(columns.iter().enumerate().map(|(n, c)| assign(n, c)))
            ),
            upsert: format!(
                "{insert} ON CONFLICT (\"id\") DO UPDATE SET {}",
                list(names().map(excluded))
            ),
            insert,
            column_list,
            schema,
            columns,
        }
    }

    /// The table's name as an SQL identifier.
    pub(crate) fn name(&self) -> String {
        quoted(self.schema.name)
    }

    /// The column that holds a field.
    pub(crate) fn column_of(&self, field: &str) -> Option<&str> {
        self.column(field).map(|column| column.name.as_str())
    }

    fn column(&self, field: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == field)
    }

    /// A record as a row; `now` is in Unix seconds.
    pub(crate) fn encode(&self, record: &Record, now: i64) -> Result<Cells, Error> {
        self.columns
            .iter()
            .map(|column| self.encode_cell(column, record.get(column.field), now))
            .collect()
    }

    /// One value of a field as a cell.
    pub(crate) fn encode_field(&self, field: &str, value: &Value) -> Result<Cell, Error> {
        let column = self.column(field).ok_or_else(|| {
            Error::Database(format!("{} has no column {field}", self.schema.name))
        })?;
        self.encode_cell(column, Some(value), 0)
    }

    fn encode_cell(&self, column: &Column, value: Option<&Value>, now: i64) -> Result<Cell, Error> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(Cell::Null);
        };
        let cell = match column.kind {
            ColumnKind::Text => value.as_str().map(|text| Cell::Text(text.to_owned())),
            ColumnKind::Integer => value.as_i64().map(Cell::Integer),
            ColumnKind::Number => match value.as_i64() {
                Some(whole) => Some(Cell::Integer(whole)),
                None => value.as_f64().map(Cell::Real),
            },
            ColumnKind::Boolean => value.as_bool().map(|b| Cell::Integer(b.into())),
            ColumnKind::Foreign => value
                .get("id")
                .and_then(Value::as_str)
                .map(|id| Cell::Text(id.to_owned())),
            ColumnKind::Json => Some(Cell::Text(value.to_string())),
            ColumnKind::Expiry => value
                .as_i64()
                .map(|ttl| Cell::Integer(now.saturating_add(ttl))),
        };
        cell.ok_or_else(|| Error::does_not_fit(self.schema.name, column.field, value))
    }

    /// The row that [`Self::column_list`] selects, as a record; `now` is in Unix seconds.
    pub(crate) fn decode(&self, row: &Row<'_>, now: i64) -> Result<Record, Error> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            let cell = row.get_ref(index).map_err(crate::database_error)?;
            if column.kind == ColumnKind::Expiry && cell == ValueRef::Null {
                continue;
            }
            let value = decode_cell(column.kind, cell, now).ok_or_else(|| {
                let (table, name) = (self.schema.name, &column.name);
                Error::Database(format!(
                    "a row of {table} has a {name} that does not belong there"
                ))
            })?;
            fields.push((column.field.to_owned(), value));
        }
        Ok(fields.into_iter().collect())
    }

    /// The values of some fields of an encoded row, for error messages.
    pub(crate) fn decode_fields(&self, cells: &Cells, fields: &[&'static str]) -> Record {
        fields
            .iter()
            .map(|field| {
                let value = self
                    .columns
                    .iter()
                    .zip(cells)
                    .find(|(column, _)| column.field == *field)
                    .and_then(|(column, cell)| decode_cell(column.kind, cell.into(), 0));
                ((*field).to_owned(), value.unwrap_or(Value::Null))
            })
            .collect()
    }

    /// The cell of a field in an encoded row.
    pub(crate) fn cell<'c>(&self, cells: &'c Cells, field: &str) -> Option<&'c Cell> {
        let index = self.columns.iter().position(|c| c.field == field)?;
        cells.get(index)
    }

    /// Names and definitions of the columns, in the order in which the fields are declared.
    pub(crate) fn column_definitions(&self, catalog: &Catalog) -> Vec<(String, String)> {
        let declared = catalog::stored_fields(self.schema).map(|(field, _)| field);
        let mut definitions: Vec<_> = declared
            .chain(self.schema.ttl.then_some(TTL))
            .filter_map(|field| self.column(field))
            .map(|column| {
                let definition = self.column_definition(column, catalog);
                (column.name.clone(), definition)
            })
            .collect();
        if self.schema.workspaceable {
            let definition = format!("\"ws_id\" TEXT DEFAULT '{DEFAULT_WORKSPACE}'");
            definitions.push(("ws_id".to_owned(), definition));
        }
        definitions
    }

    fn column_definition(&self, column: &Column, catalog: &Catalog) -> String {
        let mut sql = format!("{} {}", quoted(&column.name), column.kind.sql());
        if column.field == "id" {
            sql.push_str(" NOT NULL PRIMARY KEY");
        }
        if let Some(foreign) = catalog::foreign(self.schema, column.field)
            && catalog.get(foreign.reference).is_some()
        {
            let action = match foreign.on_delete {
                OnDelete::Cascade => "CASCADE",
                OnDelete::Restrict => "NO ACTION",
            };
            let parent = quoted(foreign.reference);
            // A String takes any text that is written to it.
            let _ = write!(sql, " REFERENCES {parent} (\"id\") ON DELETE {action}");
        }
        sql
    }

    /// The statements that make indexes.
    pub(crate) fn indexes(&self) -> Vec<String> {
        let table = self.name();
        let entity = self.schema.name;
        let mut indexes = Vec::new();
        for key in &self.unique_keys {
            let name = format!("{entity}_{}_key", key.fields.join("_"));
            let columns = list(key.fields.iter().filter_map(|field| {
                let column = quoted(self.column_of(field)?);
                Some(if key.nulls_clash {
                    format!("ifnull({column}, '')")
                } else {
                    column
                })
            }));
            let sql = format!(
                "CREATE UNIQUE INDEX {} ON {table} ({columns})",
                quoted(&name)
            );
            indexes.push(sql);
        }
        let plain =
            |column: &&Column| matches!(column.kind, ColumnKind::Foreign | ColumnKind::Expiry);
        for column in self.columns.iter().filter(plain) {
            let name = format!("{entity}_{}_idx", column.name);
            let sql = format!(
                "CREATE INDEX {} ON {table} ({})",
                quoted(&name),
                quoted(&column.name)
            );
            indexes.push(sql);
        }
        indexes
    }

    /// The triggers that keep the change log and the tags, whoever writes.
    pub(crate) fn triggers(&self) -> Vec<String> {
        let (table, entity) = (self.name(), self.schema.name);
        let log = |row: &str, operation: &str| {
            format!(
                "INSERT INTO changes (entity, entity_id, operation) VALUES ('{entity}', {row}.id, '{operation}');"
            )
        };
        let trigger = |name: &str, event: &str, body: &str| {
            let name = quoted(&format!("{entity}_{name}"));
            format!("CREATE TRIGGER {name} AFTER {event} BEGIN {body} END")
        };
        let mut triggers = vec![
            trigger(
                "insert",
                &format!("INSERT ON {table}"),
                &log("NEW", "create"),
            ),
            trigger(
                "update",
                &format!("UPDATE ON {table}"),
                &log("NEW", "update"),
            ),
            trigger(
                "delete",
                &format!("DELETE ON {table}"),
                &log("OLD", "delete"),
            ),
        ];
        if self.tagged {
            let forget =
                format!("DELETE FROM tags WHERE entity_id = OLD.id AND entity_name = '{entity}';");
            let keep = format!(
                "INSERT INTO tags (entity_id, entity_name, position, tag) \
                 SELECT NEW.id, '{entity}', key, value FROM json_each(NEW.tags);"
            );
            let given =
                |event: &str, row: &str| format!("{event} ON {table} WHEN {row}.tags IS NOT NULL");
            let changed = format!("UPDATE OF tags ON {table} WHEN OLD.tags IS NOT NEW.tags");
            triggers.extend([
                trigger("insert_tags", &given("INSERT", "NEW"), &keep),
                trigger("update_tags", &changed, &format!("{forget} {keep}")),
                trigger("delete_tags", &given("DELETE", "OLD"), &forget),
            ]);
        }
        triggers
    }
}

fn decode_cell(kind: ColumnKind, cell: ValueRef<'_>, now: i64) -> Option<Value> {
    let text = |cell: ValueRef<'_>| cell.as_str().ok().map(str::to_owned);
    if cell == ValueRef::Null {
        return Some(Value::Null);
    }
    match kind {
        ColumnKind::Text => text(cell).map(Value::String),
        ColumnKind::Integer => cell.as_i64().ok().map(Value::from),
        ColumnKind::Number => match cell {
            ValueRef::Integer(whole) => Some(whole.into()),
            ValueRef::Real(real) => Number::from_f64(real).map(Value::Number),
            _ => None,
        },
        ColumnKind::Boolean => cell.as_i64().ok().map(|b| Value::Bool(b != 0)),
        ColumnKind::Foreign => text(cell).map(|id| json!({ "id": id })),
        ColumnKind::Json => serde_json::from_str(cell.as_str().ok()?).ok(),
        ColumnKind::Expiry => {
            let expiry = cell.as_i64().ok()?;
            Some(expiry.saturating_sub(now).into())
        }
    }
}
