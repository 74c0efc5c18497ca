//! One mutation on the write connection, and what its failure means.

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, ffi, params_from_iter};
use schema::{OnDelete, Record};
use store::catalog;
use store::{Catalog, Error, Mutation};
use uuid::Uuid;

use crate::database_error;
use crate::table::{Cells, Table, quoted};

/// A mutation with its record already encoded, which the writer thread can own.
pub(crate) enum Operation {
    Insert {
        table: usize,
        cells: Cells,
    },
    Update {
        table: usize,
        cells: Cells,
    },
    Replace {
        table: usize,
        stored: Record,
        cells: Cells,
    },
    Upsert {
        table: usize,
        cells: Cells,
    },
    Delete {
        table: usize,
        id: Uuid,
    },
    Truncate {
        table: usize,
    },
}

/// The tables of a store and the relations between them.
pub(crate) struct Tables {
    pub(crate) catalog: Catalog,
    pub(crate) tables: Vec<Table>,
}

/// The most levels of cascades that are followed to find out what still points at a record.
const MAX_DEPTH: usize = 8;

impl Tables {
    pub(crate) fn new(catalog: Catalog) -> Self {
        let tables = catalog.parents_first().map(Table::new).collect();
        Self { catalog, tables }
    }

    pub(crate) fn position(&self, entity: &str) -> Result<usize, Error> {
        self.tables
            .iter()
            .position(|table| table.schema.name == entity)
            .ok_or_else(|| Error::Database(format!("there is no table for {entity}")))
    }

    pub(crate) fn table(&self, entity: &str) -> Result<&Table, Error> {
        Ok(&self.tables[self.position(entity)?])
    }

    /// Encodes a mutation; `now` is in Unix seconds.
    pub(crate) fn encode(&self, mutation: &Mutation<'_>, now: i64) -> Result<Operation, Error> {
        let table = self.position(mutation.schema().name)?;
        let encode = |record: &Record| self.tables[table].encode(record, now);
        Ok(match mutation {
            Mutation::Insert(_, record) => Operation::Insert {
                table,
                cells: encode(record)?,
            },
            Mutation::Update(_, record) => Operation::Update {
                table,
                cells: encode(record)?,
            },
            Mutation::Replace { stored, record, .. } => Operation::Replace {
                table,
                stored: stored.clone(),
                cells: encode(record)?,
            },
            Mutation::Upsert(_, record) => Operation::Upsert {
                table,
                cells: encode(record)?,
            },
            Mutation::Delete(_, id) => Operation::Delete { table, id: *id },
            Mutation::Truncate(_) => Operation::Truncate { table },
        })
    }

    /// Applies one operation inside the transaction that `connection` is in.
    pub(crate) fn apply(
        &self,
        connection: &Connection,
        operation: &Operation,
        now: i64,
    ) -> Result<(), Error> {
        match operation {
            Operation::Insert { table, cells } => {
                let table = &self.tables[*table];
                forget_expired(connection, table, now)?;
                execute(connection, &table.insert, cells)
                    .map_err(|error| self.explain(connection, table, cells, error, true))?;
            }
            Operation::Upsert { table, cells } => {
                let table = &self.tables[*table];
                forget_expired(connection, table, now)?;
                execute(connection, &table.upsert, cells)
                    .map_err(|error| self.explain(connection, table, cells, error, false))?;
            }
            Operation::Update { table, cells } => {
                self.update(connection, &self.tables[*table], cells, now)?;
            }
            Operation::Replace {
                table,
                stored,
                cells,
            } => {
                let table = &self.tables[*table];
                let id = table.cell(cells, "id").cloned().unwrap_or(Cell::Null);
                let current = select_by_id(connection, table, &id, now)?.ok_or(Error::NotFound)?;
                if !same(table, &current, stored) {
                    return Err(Error::Conflict);
                }
                self.update(connection, table, cells, now)?;
            }
            Operation::Delete { table, id } => {
                self.delete(connection, &self.tables[*table], *id)?
            }
            Operation::Truncate { table } => self.truncate(connection, &self.tables[*table])?,
        }
        Ok(())
    }

    fn update(
        &self,
        connection: &Connection,
        table: &Table,
        cells: &Cells,
        now: i64,
    ) -> Result<(), Error> {
        forget_expired(connection, table, now)?;
        let changed = execute(connection, &table.update, cells)
            .map_err(|error| self.explain(connection, table, cells, error, false))?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        Ok(())
    }

    fn delete(&self, connection: &Connection, table: &Table, id: Uuid) -> Result<(), Error> {
        let id = Cell::Text(id.to_string());
        let sql = format!("DELETE FROM {} WHERE \"id\" = ?1", table.name());
        match execute(connection, &sql, std::slice::from_ref(&id)) {
            Ok(_) => Ok(()),
            Err(error) if is_foreign_key(&error) => {
                let entity = table.schema.name;
                let found = self.find_restriction(connection, entity, vec![id], 0)?;
                Err(found.unwrap_or_else(|| database_error(error)))
            }
            Err(error) => Err(database_error(error)),
        }
    }

    fn truncate(&self, connection: &Connection, table: &Table) -> Result<(), Error> {
        let sql = format!("DELETE FROM {}", table.name());
        match connection.execute(&sql, []) {
            Ok(_) => Ok(()),
            Err(error) if is_foreign_key(&error) => {
                let sql = format!("SELECT \"id\" FROM {}", table.name());
                let ids = select_cells(connection, &sql, &[])?;
                let found = self.find_restriction(connection, table.schema.name, ids, 0)?;
                Err(found.unwrap_or_else(|| database_error(error)))
            }
            Err(error) => Err(database_error(error)),
        }
    }

    /// The relation that forbids deleting records of `entity`, directly or through a cascade.
    fn find_restriction(
        &self,
        connection: &Connection,
        entity: &str,
        ids: Vec<Cell>,
        depth: usize,
    ) -> Result<Option<Error>, Error> {
        for child in self.catalog.children(entity) {
            let table = self.table(child.schema.name)?;
            let Some(column) = table.column_of(child.field) else {
                continue;
            };
            let sql = format!(
                "SELECT \"id\" FROM {} WHERE {} = ?1",
                table.name(),
                quoted(column)
            );
            let mut pointing = Vec::new();
            for id in &ids {
                pointing.extend(select_cells(connection, &sql, std::slice::from_ref(id))?);
            }
            if pointing.is_empty() {
                continue;
            }
            if child.on_delete == OnDelete::Restrict {
                return Ok(Some(Error::StillReferenced {
                    entity: entity.to_owned(),
                    referenced_by: child.schema.name.to_owned(),
                }));
            }
            if depth < MAX_DEPTH
                && let Some(found) =
                    self.find_restriction(connection, child.schema.name, pointing, depth + 1)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Finds the rule that a row broke.
    fn explain(
        &self,
        connection: &Connection,
        table: &Table,
        cells: &Cells,
        error: rusqlite::Error,
        inserting: bool,
    ) -> Error {
        let found = if is_foreign_key(&error) {
            self.find_missing_reference(connection, table, cells)
        } else if is_constraint(&error) {
            find_clash(connection, table, cells, inserting)
        } else {
            Ok(None)
        };
        match found {
            Ok(Some(found)) => found,
            Ok(None) => database_error(error),
            Err(failure) => failure,
        }
    }

    fn find_missing_reference(
        &self,
        connection: &Connection,
        table: &Table,
        cells: &Cells,
    ) -> Result<Option<Error>, Error> {
        for (field, foreign) in table.schema.foreign_fields() {
            let Some(Cell::Text(id)) = table.cell(cells, field) else {
                continue;
            };
            let sql = format!(
                "SELECT 1 FROM {} WHERE \"id\" = ?1",
                quoted(foreign.reference)
            );
            let present = connection
                .query_row(&sql, [id], |_| Ok(()))
                .optional()
                .map_err(database_error)?;
            if present.is_none() {
                return Ok(Some(Error::MissingReference {
                    entity: table.schema.name.to_owned(),
                    field: field.to_owned(),
                    reference: foreign.reference.to_owned(),
                    value: id.clone(),
                }));
            }
        }
        Ok(None)
    }
}

/// Whether two records say the same, where an absent field is as good as `null` and the time to live does not count.
fn same(table: &Table, left: &Record, right: &Record) -> bool {
    catalog::stored_fields(table.schema).all(|(field, _)| {
        let value = |record: &Record| record.get(field).cloned().unwrap_or_default();
        value(left) == value(right)
    })
}

fn find_clash(
    connection: &Connection,
    table: &Table,
    cells: &Cells,
    inserting: bool,
) -> Result<Option<Error>, Error> {
    let exists = |condition: String, values: Vec<&Cell>| {
        let sql = format!("SELECT 1 FROM {} WHERE {condition}", table.name());
        connection
            .query_row(&sql, params_from_iter(values), |_| Ok(()))
            .optional()
            .map(|found| found.is_some())
            .map_err(database_error)
    };
    let Some(id) = table.cell(cells, "id") else {
        return Ok(None);
    };
    if inserting
        && exists("\"id\" = ?1".to_owned(), vec![id])?
        && let Cell::Text(text) = id
        && let Ok(id) = Uuid::parse_str(text)
    {
        return Ok(Some(Error::PrimaryKeyViolation { id }));
    }
    for key in &table.unique_keys {
        let mut values = vec![id];
        let mut conditions = vec!["\"id\" <> ?1".to_owned()];
        for field in &key.fields {
            if let (Some(column), Some(cell)) = (table.column_of(field), table.cell(cells, field)) {
                values.push(cell);
                let operator = if key.nulls_clash { "IS" } else { "=" };
                conditions.push(format!("{} {operator} ?{}", quoted(column), values.len()));
            }
        }
        if exists(conditions.join(" AND "), values)? {
            let fields = table.decode_fields(cells, &key.fields);
            return Ok(Some(Error::UniqueViolation { fields }));
        }
    }
    Ok(None)
}

/// Removes rows that expired, so that they no longer hold their unique values.
pub(crate) fn forget_expired(
    connection: &Connection,
    table: &Table,
    now: i64,
) -> Result<(), Error> {
    if table.schema.ttl {
        let sql = format!("DELETE FROM {} WHERE \"ttl\" <= ?1", table.name());
        execute(connection, &sql, &[Cell::Integer(now)]).map_err(database_error)?;
    }
    Ok(())
}

/// The record with an id, expired or not.
fn select_by_id(
    connection: &Connection,
    table: &Table,
    id: &Cell,
    now: i64,
) -> Result<Option<Record>, Error> {
    let sql = format!(
        "SELECT {} FROM {} WHERE \"id\" = ?1",
        table.column_list,
        table.name()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(database_error)?;
    let mut rows = statement.query([id]).map_err(database_error)?;
    match rows.next().map_err(database_error)? {
        Some(row) => table.decode(row, now).map(Some),
        None => Ok(None),
    }
}

fn select_cells(connection: &Connection, sql: &str, values: &[Cell]) -> Result<Vec<Cell>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(database_error)?;
    let rows = statement
        .query_map(params_from_iter(values), |row| row.get(0))
        .map_err(database_error)?;
    rows.collect::<Result<_, _>>().map_err(database_error)
}

fn execute(connection: &Connection, sql: &str, cells: &[Cell]) -> Result<usize, rusqlite::Error> {
    connection
        .prepare_cached(sql)?
        .execute(params_from_iter(cells))
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn is_foreign_key(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|failure| failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}
