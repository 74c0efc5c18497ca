//! The embedded store: one SQLite file that needs no set-up and that a person can open with the `sqlite3` shell.
//!
//! - Durable at acknowledgement: write-ahead log with `synchronous = FULL`; a commit answers after the flush.
//! - One thread writes (see [`writer`]), a few connections read; nothing blocks the async runtime.
//! - The change log and the tags are kept by triggers, so a row edited by hand or by another process counts as well.
//! - Tables follow the declarations at every start (see [`migrate`]).
//!
//! Beside it, [`Replica`]: a node's copy of a store that is shared by many.

mod apply;
mod bulk;
mod counters;
mod migrate;
mod read;
mod readers;
mod replica;
mod table;
mod writer;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};
use schema::{Record, Schema};
use stdx::Clock;
use store::bulk::{Sink, Source};
use store::{
    Catalog, Changes, Counters, Error, Key, Mutation, Page, PageRequest, Store, TagRow, Version,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub use replica::Replica;

use crate::apply::Tables;
use crate::counters::CounterTables;
use crate::readers::Readers;
use crate::table::Table;
use crate::writer::{Job, Task, Writer};

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that each connection keeps prepared.
const PREPARED_STATEMENTS: usize = 128;

/// Commits that may wait for the writer; more wait for their turn to wait.
const QUEUE: usize = 256;

/// What a store may be told.
#[derive(Debug, Clone)]
pub struct Options {
    pub clock: Arc<dyn Clock>,
    /// Events that the change log keeps at least; readers that are further behind reload everything.
    pub change_log: u64,
    /// Connections that read at the same time.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(stdx::SystemClock),
            change_log: 100_000,
            readers: 4,
        }
    }
}

/// The embedded store.
pub struct SqliteStore {
    tables: Arc<Tables>,
    clock: Arc<dyn Clock>,
    /// `None` only while the store is dropped.
    jobs: Option<mpsc::SyncSender<Task>>,
    queue: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    newest: watch::Receiver<Version>,
    readers: Readers,
    counters: CounterTables,
}

impl SqliteStore {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be opened or written, `Full` if there is no room for it, `Database` if it is
    /// damaged or not a database of this program.
    pub fn open(path: &Path, catalog: Catalog, options: Options) -> Result<Self, Error> {
        let tables = Arc::new(Tables::new(catalog));
        let mut connection = connect(path)?;
        check_structure(&connection, Check::Pages)?;
        let now = options.clock.unix_seconds();
        migrate::migrate(&mut connection, &tables.tables, &tables.catalog, now)?;
        let (announce, newest) = watch::channel(writer::newest(&connection)?);
        let (jobs, queue) = mpsc::sync_channel(QUEUE);
        let writer = Writer {
            connection,
            tables: Arc::clone(&tables),
            clock: Arc::clone(&options.clock),
            change_log: options.change_log,
            newest: announce,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| Error::Unavailable(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            tables,
            counters: CounterTables::new(path, Arc::clone(&options.clock)),
            clock: options.clock,
            jobs: Some(jobs),
            queue: Arc::new(Semaphore::new(QUEUE)),
            writer: Some(writer),
            newest,
            readers: Readers::new(path, options.readers),
        })
    }

    /// Gives the writer something to do; the permit is its place in the queue.
    async fn enqueue(&self, task: impl FnOnce(OwnedSemaphorePermit) -> Task) -> Result<(), Error> {
        let permit = Arc::clone(&self.queue)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        // With the permit, this never finds the queue full.
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.try_send(task(permit)).map_err(|_| closed())
    }

    /// Runs a query over one entity's table.
    async fn read_table<T, F>(&self, schema: &Schema, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Table, i64) -> Result<T, Error> + Send + 'static,
    {
        let tables = Arc::clone(&self.tables);
        let position = tables.position(schema.name)?;
        let now = self.clock.unix_seconds();
        self.readers
            .run(move |connection| query(connection, &tables.tables[position], now))
            .await
    }
}

impl Drop for SqliteStore {
    /// Lets the writer finish what it was given.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the embedded store had panicked");
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        let key = read::Key::from(key);
        self.read_table(schema, move |connection, table, now| {
            read::get(connection, table, &key, now)
        })
        .await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let request = read::Request::from(request);
        self.read_table(schema, move |connection, table, now| {
            read::page(connection, table, &request, now)
        })
        .await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        let now = self.clock.unix_seconds();
        let operations = mutations
            .iter()
            .map(|mutation| self.tables.encode(mutation, now))
            .collect::<Result<Vec<_>, _>>()?;
        let (reply, answer) = oneshot::channel();
        let job = |permit| {
            Task::Commit(Job {
                operations,
                reply,
                permit,
            })
        };
        self.enqueue(job).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        let tag = tag.map(str::to_owned);
        let request = read::Request::from(request);
        self.readers
            .run(move |connection| read::tags(connection, tag.as_deref(), &request))
            .await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.readers.run(writer::newest).await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.readers
            .run(move |connection| read::changes(connection, since))
            .await
    }

    async fn changed(&self, since: Version) {
        let mut newest = self.newest.clone();
        if newest.wait_for(|version| *version != since).await.is_err() {
            // The writer is gone, so nothing will change any more.
            std::future::pending::<()>().await;
        }
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        bulk::read_all(self, schemas, sink).await
    }

    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn Source,
    ) -> Result<Version, Error> {
        bulk::replace_all(self, schemas, source).await
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.readers
            .run(|connection| {
                connection
                    .query_row("SELECT 1", [], |_| Ok(()))
                    .map_err(database_error)
            })
            .await
    }
}

fn closed() -> Error {
    Error::Unavailable("the embedded store is closed".to_owned())
}

fn connect(path: &Path) -> Result<Connection, Error> {
    make_private(path)?;
    let connection = Connection::open(path).map_err(database_error)?;
    prepare(&connection).map_err(database_error)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768;",
        )
        .map_err(database_error)?;
    Ok(connection)
}

/// Makes the file if it is not there; it holds private keys, so only its owner may read it.
fn make_private(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let path = path.display();
            Err(Error::Unavailable(format!(
                "{path} cannot be made: {error}"
            )))
        }
        _ => Ok(()),
    }
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")
}

/// How much of a file is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// Whether every page is what it should be: a third of a second for a million credentials.
    Pages,
    /// Whether every index has what its table has as well, which takes many times as long.
    PagesAndIndexes,
}

/// Looks for damage, which reads of other pages would not notice.
pub(crate) fn check_structure(connection: &Connection, check: Check) -> Result<(), Error> {
    let sql = match check {
        Check::Pages => "PRAGMA quick_check(1)",
        Check::PagesAndIndexes => "PRAGMA integrity_check(1)",
    };
    let found: String = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(database_error)?;
    match found.as_str() {
        "ok" => Ok(()),
        // The first line has the name that every database has.
        found => Err(damaged(found.lines().last().unwrap_or_default())),
    }
}

fn damaged(found: &str) -> Error {
    Error::Database(format!("the file is damaged: {found}"))
}

/// Tells trouble with the machine from trouble with the data.
pub(crate) fn database_error(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(&text),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => Error::Unavailable(text),
        _ => Error::Database(text),
    }
}

#[cfg(test)]
mod tests;
