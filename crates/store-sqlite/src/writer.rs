//! The thread that writes: commits that wait at the same time share one transaction and one disk flush.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::{Connection, params};
use stdx::Clock;
use store::{Error, Version};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::apply::{Operation, Tables, forget_expired};
use crate::bulk::Replacement;
use crate::database_error;

/// Something to write.
pub(crate) enum Task {
    Commit(Job),
    Replace(Replacement),
}

/// A commit on its way to the disk.
pub(crate) struct Job {
    pub(crate) operations: Vec<Operation>,
    pub(crate) reply: oneshot::Sender<Result<Version, Error>>,
    /// Its place in the queue.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Jobs that share a transaction at most.
const MAX_BATCH: usize = 256;

/// Operations after which the page cache is given back.
const LARGE_BATCH: usize = 1000;

/// How often an idle writer looks for commits of other processes and for expired rows.
const IDLE: Duration = Duration::from_millis(500);

/// What the thread works on.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) tables: Arc<Tables>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Events that the change log keeps at least.
    pub(crate) change_log: u64,
    /// Tells everybody the newest version.
    pub(crate) newest: watch::Sender<Version>,
}

impl Writer {
    /// Runs until all senders are gone.
    pub(crate) fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            match tasks.recv_timeout(IDLE) {
                Ok(first) => {
                    let mut batch = Vec::new();
                    let mut next = Some(first);
                    while let Some(task) = next {
                        match task {
                            Task::Commit(job) => batch.push(job),
                            Task::Replace(replacement) => {
                                self.commit(std::mem::take(&mut batch));
                                self.replace(replacement);
                            }
                        }
                        let room = batch.len() < MAX_BATCH;
                        next = room.then(|| tasks.try_recv().ok()).flatten();
                    }
                    self.commit(batch);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.idle() {
                        tracing::warn!(%error, "the embedded store could not look after itself");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn replace(&mut self, replacement: Replacement) {
        let now = self.clock.unix_seconds();
        replacement.run(&mut self.connection, &self.tables, now, self.change_log);
        // As after a large batch.
        let _ = self.connection.execute_batch("PRAGMA shrink_memory");
        self.announce();
    }

    fn commit(&mut self, batch: Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        let now = self.clock.unix_seconds();
        let (operations, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|job| (job.operations, (job.reply, job.permit)))
            .unzip();
        let results = self.transaction(&operations, now);
        if operations.iter().map(Vec::len).sum::<usize>() >= LARGE_BATCH {
            // An import fills the cache, which nothing needs afterwards; if it stays, it only costs memory.
            let _ = self.connection.execute_batch("PRAGMA shrink_memory");
        }
        self.announce();
        let mut results = results.into_iter();
        for (reply, _permit) in replies {
            let lost = || Err(Error::Database("the writer lost a commit".to_owned()));
            // Nobody may be waiting any more; the commit holds all the same.
            let _ = reply.send(results.next().unwrap_or_else(lost));
        }
    }

    /// Tells everybody of a newer version, if there is one.
    fn announce(&self) {
        if let Ok(version) = newest(&self.connection) {
            self.newest.send_if_modified(|seen| {
                let grew = *seen < version;
                *seen = version;
                grew
            });
        }
    }

    /// One transaction over all commits of a batch; each of them succeeds or fails on its own, unless the flush fails.
    fn transaction(&mut self, batch: &[Vec<Operation>], now: i64) -> Vec<Result<Version, Error>> {
        let everybody = |error: &Error| batch.iter().map(|_| Err(error.clone())).collect();
        let transaction = match self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        {
            Ok(transaction) => transaction,
            Err(error) => return everybody(&database_error(error)),
        };
        let mut results = Vec::with_capacity(batch.len());
        for operations in batch {
            let result = apply_one(&transaction, &self.tables, operations, now);
            // Some failures, such as a full disk, end the whole transaction.
            if let (Err(error), true) = (&result, transaction.is_autocommit()) {
                return everybody(error);
            }
            results.push(result);
        }
        if results.iter().any(Result::is_ok)
            && let Err(error) = trim(&transaction, self.change_log)
        {
            return everybody(&error);
        }
        match transaction.commit() {
            Ok(()) => results,
            Err(error) => everybody(&database_error(error)),
        }
    }

    fn idle(&mut self) -> Result<(), Error> {
        let now = self.clock.unix_seconds();
        for table in &self.tables.tables {
            forget_expired(&self.connection, table, now)?;
        }
        let version = newest(&self.connection)?;
        self.newest.send_if_modified(|seen| {
            let moved = *seen != version;
            *seen = version;
            moved
        });
        Ok(())
    }
}

/// Applies one commit behind a savepoint.
fn apply_one(
    connection: &Connection,
    tables: &Tables,
    operations: &[Operation],
    now: i64,
) -> Result<Version, Error> {
    connection
        .execute_batch("SAVEPOINT one")
        .map_err(database_error)?;
    let applied = operations
        .iter()
        .try_for_each(|operation| tables.apply(connection, operation, now))
        .and_then(|()| newest(connection));
    let end = match applied {
        Ok(_) => "RELEASE one",
        Err(_) => "ROLLBACK TO one; RELEASE one",
    };
    connection.execute_batch(end).map_err(database_error)?;
    applied
}

/// The version of the newest event, which the change log always keeps.
pub(crate) fn newest(connection: &Connection) -> Result<Version, Error> {
    let version: Option<i64> = connection
        .prepare_cached("SELECT max(version) FROM changes")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(database_error)?;
    Ok(version_of(version.unwrap_or(0)))
}

/// A row number of the change log as a version.
pub(crate) fn version_of(number: i64) -> Version {
    Version(u64::try_from(number).unwrap_or(0))
}

/// Shortens the change log to its bound once it is twice as long.
pub(crate) fn trim(connection: &Connection, keep: u64) -> Result<(), Error> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(version) FROM changes")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(database_error)?;
    let newest = newest(connection)?.0;
    let Some(oldest) = oldest.and_then(|version| u64::try_from(version).ok()) else {
        return Ok(());
    };
    if newest.saturating_sub(oldest) < keep.saturating_mul(2) {
        return Ok(());
    }
    let last = i64::try_from(newest.saturating_sub(keep.max(1))).unwrap_or(0);
    connection
        .execute("DELETE FROM changes WHERE version <= ?1", params![last])
        .map_err(database_error)?;
    Ok(())
}
