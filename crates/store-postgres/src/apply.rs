//! Commits: mutations in one transaction, and what the database's refusals mean.

use std::collections::HashSet;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction};
use schema::{OnDelete, Record};
use store::{Error, Mutation, Version, catalog};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::cell::{Cell, Micros};
use crate::cluster_events::{Change, Messages};
use crate::failure::Failure;
use crate::log;
use crate::pool::Work;
use crate::table::{TTL, Table, Tables, WORKSPACE, quoted};

/// Mutations that are written in the time of a short piece of work, also by a slow server.
const MUTATIONS_AT_ONCE: usize = 500;

/// Applies all mutations or none.
pub(crate) struct Commit<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) mutations: &'a [Mutation<'a>],
    pub(crate) now: Micros,
    /// Events that the change log keeps at least.
    pub(crate) change_log: u64,
}

#[async_trait]
impl Work for Commit<'_> {
    type Output = Version;

    fn length(&self) -> u32 {
        u32::try_from(self.mutations.len() / MUTATIONS_AT_ONCE + 1).unwrap_or(u32::MAX)
    }

    async fn run(&self, client: &mut ClientWrapper) -> Result<Version, Failure> {
        let transaction = client.transaction().await?;
        let mut refused = None;
        let mut messages = Messages::default();
        match self.apply_all(&transaction, &mut messages).await {
            Ok(()) => {}
            Err(Refusal::Failure(failure)) => {
                transaction.rollback().await?;
                return Err(failure);
            }
            Err(Refusal::Statement(mutation, error)) => refused = Some((mutation, error)),
        }
        if let Some((mutation, error)) = refused {
            if error.as_db_error().is_none() {
                return Err(error.into());
            }
            transaction.rollback().await?;
            return Err(explain(client, self.tables, mutation, error).await);
        }
        let version = log::close(transaction, messages, self.change_log).await?;
        log::flush(client).await?;
        Ok(version)
    }
}

/// Why a mutation was not applied.
enum Refusal<'a> {
    /// The server refused a statement; the transaction has to be rolled back before anything else can be asked.
    Statement(&'a Mutation<'a>, tokio_postgres::Error),
    Failure(Failure),
}

impl From<Failure> for Refusal<'_> {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Refusal<'_> {
    fn from(error: Error) -> Self {
        Self::Failure(error.into())
    }
}

impl From<tokio_postgres::Error> for Refusal<'_> {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failure(error.into())
    }
}

impl Commit<'_> {
    async fn apply_all(
        &self,
        transaction: &Transaction<'_>,
        messages: &mut Messages,
    ) -> Result<(), Refusal<'_>> {
        let placed = |mutation: &Mutation<'_>| mutation.schema().workspaceable;
        let workspace = match self.mutations.iter().any(placed) {
            true => Some(default_workspace(transaction).await?),
            false => None,
        };
        for mutation in self.mutations {
            let mut writer = Writer {
                transaction,
                tables: self.tables,
                table: self.tables.of(mutation.schema())?,
                workspace,
                now: self.now,
                messages,
            };
            writer.apply(mutation).await?;
        }
        Ok(())
    }
}

pub(crate) async fn default_workspace(transaction: &Transaction<'_>) -> Result<Uuid, Failure> {
    let statement = transaction
        .prepare_cached(&format!("SELECT {WORKSPACE}"))
        .await?;
    let row = transaction.query_one(&statement, &[]).await?;
    let id: Option<Uuid> = row.try_get(0)?;
    Ok(id.ok_or_else(|| Error::Database("there is no workspace called default".to_owned()))?)
}

/// Writes to one table.
struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    tables: &'a Tables,
    table: &'a Table,
    workspace: Option<Uuid>,
    now: Micros,
    messages: &'a mut Messages,
}

impl<'a> Writer<'a> {
    async fn apply<'m>(&mut self, mutation: &'m Mutation<'m>) -> Result<(), Refusal<'m>> {
        let refused = |error| Refusal::Statement(mutation, error);
        match mutation {
            Mutation::Insert(_, record) => {
                self.forget_expired().await?;
                let sql = &self.table.insert;
                self.write(sql, record).await?.map_err(refused)?;
                self.tell(self.table, None, Some(record));
            }
            Mutation::Upsert(_, record) => {
                self.forget_expired().await?;
                let before = self.lock(record).await?;
                let sql = &self.table.upsert;
                self.write(sql, record).await?.map_err(refused)?;
                self.tell(self.table, before.as_ref(), Some(record));
            }
            Mutation::Update(_, record) => {
                self.forget_expired().await?;
                let before = self.lock(record).await?.ok_or(Error::NotFound)?;
                self.update(record).await?.map_err(refused)?;
                self.tell(self.table, Some(&before), Some(record));
            }
            Mutation::Replace { stored, record, .. } => {
                let before = self.lock(record).await?.ok_or(Error::NotFound)?;
                if !same(self.table, &before, stored) {
                    return Err(Error::Conflict.into());
                }
                self.forget_expired().await?;
                self.update(record).await?.map_err(refused)?;
                self.tell(self.table, Some(&before), Some(record));
            }
            Mutation::Delete(_, id) => {
                let doomed = self.doomed("\"id\" = $1", &[id]).await?;
                let deleted = self.delete("\"id\" = $1", &[id]).await?;
                deleted.map_err(refused)?;
                self.tell_deleted(doomed);
            }
            Mutation::Truncate(_) => {
                let condition = match self.table.schema.workspaceable {
                    true => format!("\"ws_id\" = {WORKSPACE}"),
                    false => "true".to_owned(),
                };
                let doomed = self.doomed(&condition, &[]).await?;
                let deleted = self.delete(&condition, &[]).await?;
                deleted.map_err(refused)?;
                self.tell_deleted(doomed);
            }
        }
        Ok(())
    }

    fn tell(&mut self, table: &Table, before: Option<&Record>, after: Option<&Record>) {
        let workspace = self.workspace.filter(|_| table.schema.workspaceable);
        let change = Change { before, after };
        self.messages.add(table.schema, workspace, change);
    }

    fn tell_deleted(&mut self, doomed: Vec<(&Table, Vec<Record>)>) {
        for (table, records) in doomed {
            for record in &records {
                self.tell(table, Some(record), None);
            }
        }
    }

    async fn delete(
        &self,
        condition: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Result<u64, tokio_postgres::Error>, Failure> {
        let sql = format!("DELETE FROM {} WHERE {condition}", self.table.name());
        let statement = self.transaction.prepare_cached(&sql).await?;
        Ok(self.transaction.execute(&statement, values).await)
    }

    /// The records that go when those of a condition are deleted, by table; nobody else can add to them until the end.
    async fn doomed(
        &self,
        condition: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<(&'a Table, Vec<Record>)>, Failure> {
        let mut seen = HashSet::new();
        let mut found = vec![(
            self.table,
            self.lock_all(self.table, condition, values).await?,
        )];
        let mut next = 0;
        while let Some((table, records)) = found.get_mut(next) {
            let entity = table.schema.name;
            let mut ids = Vec::with_capacity(records.len());
            records.retain(|record| {
                let id = id_of(record);
                let new = id.is_some_and(|id| seen.insert((entity, id)));
                ids.extend(id.filter(|_| new));
                new
            });
            if !ids.is_empty() {
                for child in self.tables.catalog.children(entity) {
                    if child.on_delete == OnDelete::Cascade {
                        let table = self.tables.of(child.schema)?;
                        let column = quoted(&table.column_of(child.field)?.name);
                        let condition = format!("{column} = ANY ($1)");
                        let records = self.lock_all(table, &condition, &[&ids]).await?;
                        found.push((table, records));
                    }
                }
            }
            next += 1;
        }
        Ok(found)
    }

    /// Runs one of the table's statements; the inner error is the server's answer to it.
    async fn write(
        &self,
        sql: &str,
        record: &Record,
    ) -> Result<Result<u64, tokio_postgres::Error>, Failure> {
        let statement = self.transaction.prepare_cached(sql).await?;
        let cells = self
            .table
            .encode(record, statement.params(), self.workspace, self.now)?;
        let cells: Vec<_> = cells
            .iter()
            .map(|cell| cell as &(dyn ToSql + Sync))
            .collect();
        Ok(self.transaction.execute(&statement, &cells).await)
    }

    async fn update(&self, record: &Record) -> Result<Result<(), tokio_postgres::Error>, Failure> {
        match self.write(&self.table.update, record).await? {
            Ok(0) => Err(Error::NotFound.into()),
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The record with the id of another, expired or not, which nobody else can change until the end.
    async fn lock(&self, record: &Record) -> Result<Option<Record>, Failure> {
        let Some(id) = id_of(record) else {
            return Ok(None);
        };
        let mut found = self.lock_all(self.table, "\"id\" = $1", &[&id]).await?;
        Ok(found.pop())
    }

    /// The records of a condition, expired or not, which nobody else can change until the end.
    async fn lock_all(
        &self,
        table: &Table,
        condition: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Record>, Failure> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {condition} ORDER BY \"id\" FOR UPDATE",
            table.column_list,
            table.name()
        );
        let statement = self.transaction.prepare_cached(&sql).await?;
        let rows = self.transaction.query(&statement, values).await?;
        let records = rows.iter().map(|row| table.decode(row, self.now));
        Ok(records.collect::<Result<_, _>>()?)
    }

    /// Removes rows that expired, so that they no longer hold their unique values.
    async fn forget_expired(&self) -> Result<(), Failure> {
        if self.table.schema.ttl {
            let sql = forget_expired(self.table);
            let statement = self.transaction.prepare_cached(&sql).await?;
            let now = Cell::Time(self.now);
            self.transaction.execute(&statement, &[&now]).await?;
        }
        Ok(())
    }
}

/// Removes rows that expired before the time given, but for those that somebody else is working on.
///
/// They have expired by the clock of the database as well, so that a node whose clock is wrong does no harm.
fn forget_expired(table: &Table) -> String {
    let name = table.name();
    format!(
        "DELETE FROM {name} WHERE \"id\" IN (SELECT \"id\" FROM {name} \
         WHERE \"{TTL}\" <= least($1, now()) \
         ORDER BY \"{TTL}\" LIMIT 1000 FOR UPDATE SKIP LOCKED)"
    )
}

fn id_of(record: &Record) -> Option<Uuid> {
    Uuid::parse_str(record.get("id")?.as_str()?).ok()
}

/// Whether two records say the same, where an absent field is as good as `null` and the time to live does not count.
fn same(table: &Table, left: &Record, right: &Record) -> bool {
    catalog::stored_fields(table.schema).all(|(field, _)| {
        let value = |record: &Record| record.get(field).cloned().unwrap_or_default();
        value(left) == value(right)
    })
}

/// Finds the rule that a mutation broke, by the code of the failure and the name of the constraint.
async fn explain(
    client: &ClientWrapper,
    tables: &Tables,
    mutation: &Mutation<'_>,
    error: tokio_postgres::Error,
) -> Failure {
    let Some(cause) = error.as_db_error() else {
        return error.into();
    };
    let found = if *cause.code() == SqlState::UNIQUE_VIOLATION {
        explain_clash(client, tables, mutation, cause).await
    } else if *cause.code() == SqlState::FOREIGN_KEY_VIOLATION {
        explain_reference(client, tables, mutation, cause).await
    } else {
        Ok(None)
    };
    match found {
        Ok(Some(found)) => found.into(),
        Ok(None) => error.into(),
        Err(failure) => failure,
    }
}

/// The names of an index's columns, in order.
const INDEX_COLUMNS: &str = "
    SELECT ARRAY(
        SELECT attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY place)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND n.nspname = $2";

async fn explain_clash(
    client: &ClientWrapper,
    tables: &Tables,
    mutation: &Mutation<'_>,
    cause: &DbError,
) -> Result<Option<Error>, Failure> {
    let (Mutation::Insert(schema, record)
    | Mutation::Update(schema, record)
    | Mutation::Upsert(schema, record)
    | Mutation::Replace { schema, record, .. }) = mutation
    else {
        return Ok(None);
    };
    let row = client
        .query_opt(INDEX_COLUMNS, &[&cause.constraint(), &cause.schema()])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let columns: Vec<String> = row.try_get(0)?;
    let table = tables.of(schema)?;
    let mut fields: Vec<&str> = Vec::new();
    for column in columns.iter().filter(|column| *column != "ws_id") {
        match column.as_str() {
            "cache_key" => fields.extend(schema.cache_key),
            column => fields.extend(table.field_of(column)),
        }
    }
    if fields == ["id"] {
        return Ok(id_of(record).map(|id| Error::PrimaryKeyViolation { id }));
    }
    let value = |field: &str| record.get(field).cloned().unwrap_or_default();
    let fields = fields
        .into_iter()
        .map(|field| (field.to_owned(), value(field)))
        .collect();
    Ok(Some(Error::UniqueViolation { fields }))
}

/// The table that a foreign key is in, the one it points at, and its columns in order.
const FOREIGN_KEY: &str = "
    SELECT t.relname::text, r.relname::text, ARRAY(
        SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY place)
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid
    JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE c.conname = $1 AND t.relname = $2 AND n.nspname = $3";

async fn explain_reference(
    client: &ClientWrapper,
    tables: &Tables,
    mutation: &Mutation<'_>,
    cause: &DbError,
) -> Result<Option<Error>, Failure> {
    let key = [&cause.constraint(), &cause.table(), &cause.schema()];
    let key = key.map(|name| name as &(dyn ToSql + Sync));
    let Some(row) = client.query_opt(FOREIGN_KEY, &key).await? else {
        return Ok(None);
    };
    let (from, to): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let columns: Vec<String> = row.try_get(2)?;
    let entity = |table: &str| match tables.entity_of(table) {
        Some(entity) => entity.to_owned(),
        None => table.to_owned(),
    };
    let (Mutation::Insert(schema, record)
    | Mutation::Update(schema, record)
    | Mutation::Upsert(schema, record)
    | Mutation::Replace { schema, record, .. }) = mutation
    else {
        return Ok(Some(Error::StillReferenced {
            entity: entity(&to),
            referenced_by: entity(&from),
        }));
    };
    let table = tables.of(schema)?;
    let field = columns.iter().find_map(|column| table.field_of(column));
    Ok(field.map(|field| Error::MissingReference {
        entity: schema.name.to_owned(),
        field: field.to_owned(),
        reference: entity(&to),
        value: catalog::foreign_id(record, field)
            .unwrap_or_default()
            .to_owned(),
    }))
}
