//! Brings a database file to what the declarations ask for, at every start.
//!
//! A new field becomes a new column and a new entity a new table; indexes and triggers are made again when anything
//! changed. Nothing is ever dropped, so an older program still finds its columns.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use store::{Catalog, DEFAULT_WORKSPACE, Error};

use crate::database_error;
use crate::table::{Table, quoted};

/// The layout of the tables that do not follow from declarations; a file with a higher one comes from a newer program.
const LAYOUT: i64 = 1;

/// Tables of the store itself: applied versions, the change log and the tags of all entities.
const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS schema_versions (
    layout INTEGER NOT NULL,
    declarations TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS changes (
    version INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    operation TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tags (
    entity_id TEXT NOT NULL,
    entity_name TEXT NOT NULL,
    position INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (entity_id, entity_name, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_tag ON tags (tag, entity_id, entity_name, position);
";

/// Makes or extends the tables in one transaction; a second call changes nothing.
pub(crate) fn migrate(
    connection: &mut Connection,
    tables: &[Table],
    catalog: &Catalog,
    now: i64,
) -> Result<(), Error> {
    let declarations = declarations(tables, catalog);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(database_error)?;
    transaction
        .execute_batch(OWN_TABLES)
        .map_err(database_error)?;
    let applied = newest(&transaction)?;
    if let Some((layout, _)) = &applied
        && *layout > LAYOUT
    {
        return Err(Error::Database(format!(
            "the file has layout {layout} of a newer program, this one knows {LAYOUT}: \
             start the newer program, or use another file"
        )));
    }
    if applied != Some((LAYOUT, declarations.clone())) {
        for table in tables {
            apply(&transaction, table, catalog).map_err(database_error)?;
        }
        transaction
            .execute(
                "INSERT INTO schema_versions (layout, declarations, applied_at) VALUES (?1, ?2, ?3)",
                params![LAYOUT, declarations, now],
            )
            .map_err(database_error)?;
    }
    insert_default_workspace(&transaction, tables, now)?;
    transaction.commit().map_err(database_error)
}

fn newest(transaction: &Transaction<'_>) -> Result<Option<(i64, String)>, Error> {
    let sql = "SELECT layout, declarations FROM schema_versions ORDER BY rowid DESC LIMIT 1";
    transaction
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(database_error)
}

/// Everything that is derived from the declarations, as SQL.
fn declarations(tables: &[Table], catalog: &Catalog) -> String {
    let mut lines = Vec::new();
    for table in tables {
        lines.push(create(table, catalog));
        lines.extend(table.indexes());
        lines.extend(table.triggers());
    }
    lines.join(";\n")
}

fn create(table: &Table, catalog: &Catalog) -> String {
    let columns: Vec<_> = table
        .column_definitions(catalog)
        .into_iter()
        .map(|(_, definition)| definition)
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) STRICT, WITHOUT ROWID",
        table.name(),
        columns.join(", ")
    )
}

fn apply(
    transaction: &Transaction<'_>,
    table: &Table,
    catalog: &Catalog,
) -> Result<(), rusqlite::Error> {
    transaction.execute(&create(table, catalog), [])?;
    let present: Vec<String> = transaction
        .prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table.schema.name], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for (name, definition) in table.column_definitions(catalog) {
        if !present.contains(&name) {
            let sql = format!("ALTER TABLE {} ADD COLUMN {definition}", table.name());
            transaction.execute(&sql, [])?;
        }
    }
    let outdated: Vec<(String, String)> = transaction
        .prepare(
            "SELECT type, name FROM sqlite_schema \
             WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        )?
        .query_map([table.schema.name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (kind, name) in outdated {
        transaction.execute(&format!("DROP {kind} {}", quoted(&name)), [])?;
    }
    for sql in table.indexes().iter().chain(&table.triggers()) {
        transaction.execute(sql, [])?;
    }
    Ok(())
}

fn insert_default_workspace(
    transaction: &Transaction<'_>,
    tables: &[Table],
    now: i64,
) -> Result<(), Error> {
    let Some(table) = tables.iter().find(|t| t.schema.name == "workspaces") else {
        return Ok(());
    };
    let sql = "SELECT 1 FROM workspaces WHERE id = ?1";
    let present = transaction
        .query_row(sql, [DEFAULT_WORKSPACE.to_string()], |_| Ok(()))
        .optional()
        .map_err(database_error)?;
    if present.is_none() {
        let record = store::repository::default_workspace(table.schema, now)?;
        let cells = table.encode(&record, now)?;
        transaction
            .execute(&table.insert, rusqlite::params_from_iter(cells))
            .map_err(database_error)?;
    }
    Ok(())
}
