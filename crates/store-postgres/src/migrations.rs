//! Migrations: Kong 3.9's tables in an empty database, and this program's additions in any.
//!
//! - Everything happens in one transaction under an advisory lock, which ends with the connection: two nodes that
//!   migrate at once wait for each other, and a crash leaves neither a half-made schema nor a stale lock.
//! - A database that Kong 3.9 migrated is used as it stands. One that an older Kong migrated is refused: its data
//!   has to be converted by Kong's own migrations first.
//! - Own additions have the prefix `silverback_`, but for tables of entities that Kong does not know.

mod derived;
mod subsystems;

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction as OfClient};
use store::{Catalog, Error};
use tokio_postgres::error::SqlState;
use tokio_postgres::{GenericClient, Transaction};
use uuid::Uuid;

use crate::failure::{Failure, database_error};
use crate::options::Options;
use crate::pool::{Dedicated, Query};
use crate::table::{Tables, quoted};
use subsystems::{SUBSYSTEMS, WITHOUT_PENDING};

const KONG: &str = include_str!("migrations/kong-3.9.sql");
const SILVERBACK: &str = include_str!("migrations/silverback.sql");

/// The key of `schema_meta` under which Kong keeps its migrations.
const META: &str = "schema_meta";

/// The trigger that every table with entities carries.
const TRIGGER: &str = "silverback_record_change";

/// The tables of this program's own.
const OWN_TABLES: [&str; 2] = ["silverback_changes", "silverback_nodes"];

/// Grows with every change of the own additions; a database carries the number that it has been brought to.
const REVISION: i64 = 3;

/// Makes every reader of the change log start over.
const START_OVER: &str = "
    SELECT pg_advisory_xact_lock(1936288866, 2);
    INSERT INTO silverback_changes (entity, operation) VALUES ('*', 'truncate');
    SELECT pg_notify('silverback_changes', current_schema());";

/// What a database has been through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Whether Kong's tables are there at all.
    pub bootstrapped: bool,
    /// Kong's subsystems that this program knows, by name.
    pub subsystems: Vec<Subsystem>,
    /// Whether this program's change log is there and follows all entities.
    pub change_log: bool,
}

/// The migrations of a part of Kong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsystem {
    /// `core` or the name of a plugin.
    pub name: &'static str,
    pub executed: Vec<String>,
    /// Begun, and waiting to be finished.
    pub pending: Vec<String>,
    /// Not begun.
    pub new: Vec<String>,
}

impl Status {
    /// Whether a node can work with the database.
    pub fn is_up_to_date(&self) -> bool {
        self.bootstrapped && self.change_log && !self.has_new() && !self.has_pending()
    }

    /// Whether migrations of Kong are missing.
    pub fn has_new(&self) -> bool {
        self.subsystems.iter().any(|part| !part.new.is_empty())
    }

    /// Whether migrations of Kong wait to be finished.
    pub fn has_pending(&self) -> bool {
        self.subsystems.iter().any(|part| !part.pending.is_empty())
    }
}

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The database was in that state already.
    NothingToDo,
}

/// The migrations of one database.
pub struct Migrations<'a> {
    options: &'a Options,
    tables: Tables,
}

impl<'a> Migrations<'a> {
    /// The migrations that lead to a database with the entities of `catalog`.
    pub fn new(options: &'a Options, catalog: Catalog) -> Self {
        Self {
            options,
            tables: Tables::new(catalog),
        }
    }

    /// What the database has been through; waits for nobody and changes nothing.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn status(&self) -> Result<Status, Error> {
        let mut connection = self.connect().await?;
        let begun = connection
            .client
            .build_transaction()
            .read_only(true)
            .start();
        let transaction = begun.await.map_err(database_error)?;
        self.status_in(&transaction).await
    }

    /// Makes Kong 3.9's tables, the default workspace and this program's additions in a database without tables.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached, `Database` if something of these names is in the way.
    pub async fn bootstrap(&self) -> Result<Outcome, Error> {
        let mut connection = self.connect().await?;
        let transaction = self.begin(&mut connection, true).await?;
        let status = self.status_in(&transaction).await?;
        if status.bootstrapped {
            return Ok(Outcome::NothingToDo);
        }
        run(&transaction, KONG).await?;
        record_migrations(&transaction).await?;
        insert_first_rows(&transaction).await?;
        self.install(&transaction).await?;
        transaction.commit().await.map_err(database_error)?;
        Ok(Outcome::Done)
    }

    /// Adds what this program needs to a database that Kong 3.9 or this program bootstrapped.
    ///
    /// # Errors
    /// `Database` if the database is empty, or if an older Kong migrated it.
    pub async fn up(&self) -> Result<Outcome, Error> {
        let mut connection = self.connect().await?;
        let transaction = self.begin(&mut connection, false).await?;
        let status = self.status_in(&transaction).await?;
        if !status.bootstrapped {
            return Err(not_bootstrapped());
        }
        if status.has_new() {
            return Err(Error::Database(
                "an older Kong migrated the database: run `kong migrations up` and `finish` of Kong 3.9 first"
                    .to_owned(),
            ));
        }
        if status.change_log {
            return Ok(Outcome::NothingToDo);
        }
        self.install(&transaction).await?;
        // Nobody knows what was changed while the log did not follow everything.
        run(&transaction, START_OVER).await?;
        transaction.commit().await.map_err(database_error)?;
        Ok(Outcome::Done)
    }

    /// Finishes what [`Self::up`] has begun; its additions have no second half, so nothing is left to do.
    ///
    /// # Errors
    /// `Database` if migrations of an older Kong are pending, or the database is empty.
    pub async fn finish(&self) -> Result<Outcome, Error> {
        let status = self.status().await?;
        if !status.bootstrapped {
            return Err(not_bootstrapped());
        }
        if status.has_pending() {
            return Err(Error::Database(
                "migrations of an older Kong are pending: run `kong migrations finish` of Kong 3.9 first".to_owned(),
            ));
        }
        self.up().await
    }

    /// Removes all tables of Kong and of this program with everything in them; other tables of the schema stay.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub async fn reset(&self) -> Result<Outcome, Error> {
        let mut connection = self.connect().await?;
        let transaction = self.begin(&mut connection, false).await?;
        let own = self.tables.tables.iter().map(|table| table.schema.table);
        let names: Vec<String> = kong_tables()
            .chain(own)
            .chain(OWN_TABLES)
            .map(str::to_owned)
            .collect();
        let sql = "SELECT tablename::text FROM pg_tables \
                   WHERE schemaname = current_schema() AND tablename = ANY ($1)";
        let rows = transaction
            .query(sql, &[&names])
            .await
            .map_err(database_error)?;
        let mut present = Vec::with_capacity(rows.len());
        for row in &rows {
            present.push(quoted(row.try_get(0).map_err(database_error)?));
        }
        if present.is_empty() {
            return Ok(Outcome::NothingToDo);
        }
        let tables = present.join(", ");
        run(&transaction, &format!("DROP TABLE {tables} CASCADE")).await?;
        let functions = "DROP FUNCTION IF EXISTS sync_tags(), batch_delete_expired_rows(), \
                         silverback_record_change(), silverback_take CASCADE";
        run(&transaction, functions).await?;
        transaction.commit().await.map_err(database_error)?;
        Ok(Outcome::Done)
    }

    async fn connect(&self) -> Result<Dedicated, Error> {
        Dedicated::connect(self.options, Duration::ZERO, ()).await
    }

    /// Begins a transaction that no other migration runs beside.
    async fn begin<'c>(
        &self,
        connection: &'c mut Dedicated,
        may_make_schema: bool,
    ) -> Result<OfClient<'c>, Error> {
        let transaction = connection
            .client
            .transaction()
            .await
            .map_err(database_error)?;
        run(&transaction, "SELECT pg_advisory_xact_lock(1936288866, 1)").await?;
        if let Some(schema) = self.options.schema.as_deref().filter(|_| may_make_schema) {
            make_schema(&transaction, schema).await?;
        }
        let sql = "SELECT current_schema()::text";
        let row = transaction
            .query_one(sql, &[])
            .await
            .map_err(database_error)?;
        let schema: Option<String> = row.try_get(0).map_err(database_error)?;
        let schema = schema.ok_or_else(|| {
            let named = self
                .options
                .schema
                .as_deref()
                .unwrap_or("of the search path");
            Error::Database(format!("there is no schema {named}"))
        })?;
        // Functions remember it, so it must not depend on who calls them.
        let path = format!("SET LOCAL search_path TO {}, pg_temp", quoted(&schema));
        run(&transaction, &path).await?;
        Ok(transaction)
    }

    async fn status_in(&self, transaction: &Transaction<'_>) -> Result<Status, Error> {
        let sql = "SELECT subsystem, coalesce(executed, '{}'), coalesce(pending, '{}') \
                   FROM schema_meta WHERE key = $1";
        if !exists(transaction, META).await? {
            return Ok(Status::default());
        }
        let rows = transaction
            .query(sql, &[&META])
            .await
            .map_err(database_error)?;
        let mut recorded: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
        for row in &rows {
            let part = (|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))();
            recorded.push(part.map_err(database_error)?);
        }
        let subsystems = SUBSYSTEMS.iter().map(|(name, known)| {
            let found = recorded.iter().find(|(subsystem, ..)| subsystem == name);
            let (executed, pending) = match found {
                Some((_, executed, pending)) => (executed.clone(), pending.clone()),
                None => Default::default(),
            };
            let is_new = |name: &&&str| {
                let recorded = |list: &[String]| list.iter().any(|done| done == **name);
                !recorded(&executed) && !recorded(&pending)
            };
            Subsystem {
                name,
                new: known
                    .iter()
                    .filter(is_new)
                    .map(|name| (*name).to_owned())
                    .collect(),
                executed,
                pending,
            }
        });
        Ok(Status {
            bootstrapped: recorded.iter().any(|(subsystem, ..)| subsystem == "core"),
            subsystems: subsystems.collect(),
            change_log: is_complete(transaction, &self.tables).await?,
        })
    }

    /// Makes tables of entities that Kong does not know, the change log, and the triggers that feed it.
    async fn install(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        for table in &self.tables.tables {
            if !exists(transaction, table.schema.table).await? {
                run(transaction, &derived::create(table, &self.tables.catalog)).await?;
            }
        }
        if revision(transaction).await? < REVISION {
            run(transaction, SILVERBACK).await?;
            let mark = format!("COMMENT ON TABLE silverback_changes IS '{REVISION}'");
            run(transaction, &mark).await?;
        }
        for table in missing_triggers(transaction, &self.tables).await? {
            let entity = self
                .tables
                .entity_of(&table)
                .unwrap_or(&table)
                .replace('\'', "''");
            let table = quoted(&table);
            let sql = format!(
                "DROP TRIGGER IF EXISTS {TRIGGER} ON {table}; \
                 DROP TRIGGER IF EXISTS silverback_record_truncate ON {table}; \
                 CREATE CONSTRAINT TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table} \
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {TRIGGER}('{entity}'); \
                 CREATE TRIGGER silverback_record_truncate AFTER TRUNCATE ON {table} \
                 FOR EACH STATEMENT EXECUTE FUNCTION {TRIGGER}('{entity}');"
            );
            run(transaction, &sql).await?;
        }
        Ok(())
    }
}

/// Whether the change log is there and follows all entities.
pub(crate) struct IsComplete<'a>(pub(crate) &'a Tables);

#[async_trait]
impl Query for IsComplete<'_> {
    type Output = bool;

    async fn run(&self, client: &ClientWrapper) -> Result<bool, Failure> {
        Ok(is_complete(&**client, self.0).await?)
    }
}

async fn is_complete(client: &impl GenericClient, tables: &Tables) -> Result<bool, Error> {
    let brought = revision(client).await? >= REVISION;
    Ok(brought && missing_triggers(client, tables).await?.is_empty())
}

/// How far the own additions have been brought; zero where there are none.
async fn revision(client: &impl GenericClient) -> Result<i64, Error> {
    let sql = "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relname = 'silverback_changes' AND n.nspname = current_schema()";
    let row = client.query_opt(sql, &[]).await.map_err(database_error)?;
    let Some(row) = row else { return Ok(0) };
    let noted: Option<String> = row.try_get(0).map_err(database_error)?;
    // The first revision was not noted.
    Ok(noted.and_then(|noted| noted.parse().ok()).unwrap_or(1))
}

/// Whether a table of that name is there.
async fn exists(transaction: &Transaction<'_>, table: &str) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_tables \
               WHERE schemaname = current_schema() AND tablename = $1)";
    let row = transaction
        .query_one(sql, &[&table])
        .await
        .map_err(database_error)?;
    row.try_get(0).map_err(database_error)
}

/// The entities' tables whose changes nobody records, with those that are not there.
async fn missing_triggers(
    client: &impl GenericClient,
    tables: &Tables,
) -> Result<Vec<String>, Error> {
    let sql = "SELECT c.relname::text FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE g.tgname = $1 AND g.tgenabled IN ('O', 'A') AND n.nspname = current_schema()";
    let rows = client
        .query(sql, &[&TRIGGER])
        .await
        .map_err(database_error)?;
    let mut present: Vec<String> = Vec::with_capacity(rows.len());
    for row in &rows {
        present.push(row.try_get(0).map_err(database_error)?);
    }
    let all = tables
        .tables
        .iter()
        .map(|table| table.schema.table.to_owned());
    Ok(all.filter(|table| !present.contains(table)).collect())
}

async fn make_schema(transaction: &Transaction<'_>, schema: &str) -> Result<(), Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)";
    let row = transaction
        .query_one(sql, &[&schema])
        .await
        .map_err(database_error)?;
    let present: bool = row.try_get(0).map_err(database_error)?;
    if !present {
        run(transaction, &format!("CREATE SCHEMA {}", quoted(schema))).await?;
    }
    Ok(())
}

async fn record_migrations(transaction: &Transaction<'_>) -> Result<(), Error> {
    let sql = "INSERT INTO schema_meta (key, subsystem, last_executed, executed, pending) \
               VALUES ($1, $2, $3, $4, $5)";
    for (subsystem, names) in SUBSYSTEMS {
        let none: &[&str] = &[];
        let pending = (*subsystem != WITHOUT_PENDING).then_some(none);
        transaction
            .execute(sql, &[&META, subsystem, &names.last(), names, &pending])
            .await
            .map_err(database_error)?;
    }
    Ok(())
}

/// What Kong puts into a new database: the default workspace and the id of the cluster.
async fn insert_first_rows(transaction: &Transaction<'_>) -> Result<(), Error> {
    let workspace = "INSERT INTO workspaces (id, name) VALUES ($1, 'default')";
    let cluster = "INSERT INTO parameters (key, value) VALUES ('cluster_id', $1)";
    let inserted = transaction.execute(workspace, &[&Uuid::new_v4()]).await;
    inserted.map_err(database_error)?;
    let inserted = transaction
        .execute(cluster, &[&Uuid::new_v4().to_string()])
        .await;
    inserted.map_err(database_error)?;
    Ok(())
}

async fn run(transaction: &Transaction<'_>, sql: &str) -> Result<(), Error> {
    transaction.batch_execute(sql).await.map_err(|error| {
        let taken = [&SqlState::DUPLICATE_TABLE, &SqlState::DUPLICATE_FUNCTION];
        match error.code() {
            Some(code) if taken.contains(&code) => {
                let text = database_error(error);
                Error::Database(format!(
                    "{text}; this schema has tables that no migration recorded"
                ))
            }
            _ => database_error(error),
        }
    })
}

/// The names of Kong's tables.
fn kong_tables() -> impl Iterator<Item = &'static str> {
    let lines = KONG
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "));
    lines.filter_map(|rest| rest.strip_suffix(" ("))
}

/// The failure of whatever needs tables in an empty database.
pub(crate) fn not_bootstrapped() -> Error {
    Error::Database(
        "the database has no tables yet: run `silverback migrations bootstrap`".to_owned(),
    )
}
