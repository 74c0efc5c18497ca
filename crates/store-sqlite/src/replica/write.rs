//! Writing: batches of changes, and a whole new content beside the old one.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use schema::{Record, Schema};
use store::bulk::Sink;
use store::replica::{Change, Counts, Place, Rebuild};
use store::{Digest, Digests, Error};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::database_error;
use crate::replica::layout::{Collection, LAYOUT, Row, read_place, read_sums, seal_of};
use crate::replica::{Shared, lost};

/// Batches between whoever reads the shared store and the thread that writes.
const AHEAD: usize = 2;

/// A change that the thread that writes can own.
pub(super) struct Written {
    collection: usize,
    id: Uuid,
    row: Option<Row>,
}

/// Encodes changes.
pub(super) fn encode(shared: &Shared, changes: &[Change]) -> Result<Vec<Written>, Error> {
    let now = shared.clock.unix_seconds();
    let encode = |change: &Change| {
        let position = shared.collections.position(change.schema.name)?;
        let collection = &shared.collections.all[position];
        let record = change.record.as_ref();
        Ok(Written {
            collection: position,
            id: change.id,
            row: record
                .map(|record| collection.encode(record, now))
                .transpose()?,
        })
    };
    changes.iter().map(encode).collect()
}

/// Writes changes and the place they lead to in one transaction.
pub(super) fn apply(shared: &Shared, changes: Vec<Written>, to: Place) -> Result<(), Error> {
    let mut connection = shared.writer.lock();
    let transaction = begin(&mut connection)?;
    let mut sums = read_sums(&transaction)?;
    if read_place(&transaction)?.is_none() {
        let names = shared.collections.all.iter().map(|all| all.schema.name);
        sums = names
            .map(|name| (name.to_owned(), Digest::default()))
            .collect();
    }
    for change in changes {
        let collection = &shared.collections.all[change.collection];
        let sum = sums.entry(collection.schema.name.to_owned()).or_default();
        remove(&transaction, collection, change.id, sum)?;
        if let Some(row) = change.row {
            insert(&transaction, collection, &row, sum)?;
        }
    }
    write_place(&transaction, &shared.origin, to, &sums)?;
    transaction.commit().map_err(database_error)?;
    drop(connection);
    shared.announce(to);
    Ok(())
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Error> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(database_error)
}

/// Takes a record out if it is there.
fn remove(
    connection: &Connection,
    collection: &Collection,
    id: Uuid,
    sum: &mut Digest,
) -> Result<(), Error> {
    let sql = format!(
        "DELETE FROM {} WHERE id = ?1 RETURNING checksum",
        collection.table
    );
    let removed: Option<i64> = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            let found = statement.query_row([id.to_string()], |row| row.get(0));
            found.optional()
        })
        .map_err(database_error)?;
    if let Some(checksum) = removed {
        sum.count = sum.count.wrapping_sub(1);
        sum.sum = sum.sum.wrapping_sub(checksum.cast_unsigned());
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    collection: &Collection,
    row: &Row,
    sum: &mut Digest,
) -> Result<(), Error> {
    let seal = row.seal(collection.schema.name);
    let checksum = row.checksum.cast_signed();
    connection
        .prepare_cached(&collection.upsert)
        .and_then(|mut statement| {
            let id = row.id.to_string();
            statement.execute(params![id, row.body, row.expires, checksum, seal])
        })
        .map_err(database_error)?;
    sum.count = sum.count.wrapping_add(1);
    sum.sum = sum.sum.wrapping_add(row.checksum);
    Ok(())
}

fn write_place(
    connection: &Connection,
    origin: &str,
    place: Place,
    sums: &Digests,
) -> Result<(), Error> {
    let write = || {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO \"replica_collections\" (entity, count, sum) VALUES (?1, ?2, ?3) \
             ON CONFLICT (entity) DO UPDATE SET count = excluded.count, sum = excluded.sum \
             WHERE count <> excluded.count OR sum <> excluded.sum",
        )?;
        for (entity, digest) in sums {
            let (count, sum) = (digest.count.cast_signed(), digest.sum.cast_signed());
            upsert.execute(params![entity, count, sum])?;
        }
        connection.execute("DELETE FROM \"replica\"", [])?;
        let version = place.version.0.cast_signed();
        let seal = seal_of(origin, place, sums);
        connection.execute(
            "INSERT INTO \"replica\" (layout, origin, version, mark, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![LAYOUT, origin, version, place.mark, seal],
        )
    };
    write().map(drop).map_err(database_error)
}

/// A new content on its way to the disk: a thread writes it in one transaction, which ends with the last step.
pub(super) struct Rebuilding {
    steps: mpsc::Sender<Step>,
    ended: oneshot::Receiver<Result<(), Error>>,
    counts: Counts,
}

/// What the thread is fed with; without an end, nothing is committed.
enum Step {
    Records(&'static Schema, Vec<Record>),
    End(Place),
}

impl Rebuilding {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        let (steps, arriving) = mpsc::channel(AHEAD);
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || {
            // Whoever began it may have gone, which undoes it.
            let _ = end.send(rebuild(&shared, arriving));
        });
        Self {
            steps,
            ended,
            counts: Counts::new(),
        }
    }

    /// Why the thread takes no more.
    async fn failure(&mut self) -> Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            _ => lost(),
        }
    }
}

#[async_trait]
impl Sink for Rebuilding {
    async fn take(&mut self, schema: &'static Schema, records: Vec<Record>) -> Result<(), Error> {
        let count = self.counts.entry(schema.name.to_owned()).or_default();
        *count += records.len() as u64;
        match self.steps.send(Step::Records(schema, records)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }
}

#[async_trait]
impl Rebuild for Rebuilding {
    fn counts(&self) -> Counts {
        self.counts.clone()
    }

    async fn finish(mut self: Box<Self>, place: Place) -> Result<(), Error> {
        match self.steps.send(Step::End(place)).await {
            Ok(()) => self.ended.await.map_err(|_| lost())?,
            Err(_) => Err(self.failure().await),
        }
    }
}

fn rebuild(shared: &Shared, mut arriving: mpsc::Receiver<Step>) -> Result<(), Error> {
    let mut connection = shared.writer.lock();
    let transaction = begin(&mut connection)?;
    let all = &shared.collections.all;
    let mut sums: Digests = BTreeMap::new();
    // Perf: ids arrive in order, and indexes are made at the end: 100,000 records take a second and not four.
    for collection in all {
        for (name, _) in collection.indexes() {
            run(&transaction, &format!("DROP INDEX IF EXISTS {name}"))?;
        }
        run(&transaction, &format!("DELETE FROM {}", collection.table))?;
        sums.insert(collection.schema.name.to_owned(), Digest::default());
    }
    run(&transaction, "DELETE FROM \"replica_collections\"")?;
    let now = shared.clock.unix_seconds();
    let place = loop {
        match arriving.blocking_recv() {
            None => return Err(Error::Database("the new content is incomplete".to_owned())),
            Some(Step::End(place)) => break place,
            Some(Step::Records(schema, records)) => {
                let collection = &all[shared.collections.position(schema.name)?];
                let sum = sums.entry(schema.name.to_owned()).or_default();
                for record in &records {
                    insert(
                        &transaction,
                        collection,
                        &collection.encode(record, now)?,
                        sum,
                    )?;
                }
            }
        }
    };
    for collection in all {
        for (_, sql) in collection.indexes() {
            run(&transaction, &sql)?;
        }
    }
    write_place(&transaction, &shared.origin, place, &sums)?;
    transaction.commit().map_err(database_error)?;
    // The log of writes is as large as the content now; readers that are under way keep what they need of it.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory;");
    drop(connection);
    shared.announce(place);
    Ok(())
}

fn run(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.execute_batch(sql).map_err(database_error)
}
