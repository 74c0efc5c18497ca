//! Counters of rate limits: tables of their own, a connection of their own, and a thread that writes to it.
//!
//! Counting does not wait for the disk: after a crash of the machine the last moments may be missing. Calls that wait at
//! the same time share a transaction.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use stdx::Clock;
use stdx::counting::{Subject, Taken, Window};
use store::{Counters, Error};
use tokio::sync::oneshot;

use crate::{SqliteStore, closed, database_error, prepare};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ratelimiting_metrics (
    identifier TEXT NOT NULL,
    period TEXT NOT NULL,
    period_date INTEGER NOT NULL,
    service_id TEXT NOT NULL,
    route_id TEXT NOT NULL,
    value INTEGER NOT NULL,
    ttl INTEGER NOT NULL,
    PRIMARY KEY (identifier, period, period_date, service_id, route_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ratelimiting_metrics_by_ttl ON ratelimiting_metrics (ttl);
CREATE TABLE IF NOT EXISTS response_ratelimiting_metrics (
    identifier TEXT NOT NULL,
    period TEXT NOT NULL,
    period_date INTEGER NOT NULL,
    service_id TEXT NOT NULL,
    route_id TEXT NOT NULL,
    value INTEGER NOT NULL,
    ttl INTEGER NOT NULL,
    PRIMARY KEY (identifier, period, period_date, service_id, route_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS response_ratelimiting_metrics_by_ttl ON response_ratelimiting_metrics (ttl);
";

/// Requests that the gateway let through.
const REQUESTS: &str = "ratelimiting_metrics";

/// What answers say was used.
const USAGE: &str = "response_ratelimiting_metrics";

/// Calls that may wait; more are refused.
const QUEUE: usize = 4096;

/// Calls that share a transaction at most.
const MOST_AT_ONCE: usize = 256;

/// How often expired counters are removed.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Where counters are kept; the thread starts when somebody counts for the first time.
pub(crate) struct CounterTables {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    calls: OnceLock<Result<mpsc::SyncSender<Call>, Error>>,
}

/// Something to count.
struct Call {
    subject: Subject,
    windows: Vec<Window>,
    what: What,
}

enum What {
    Take(oneshot::Sender<Result<Taken, Error>>),
    Add(i64, oneshot::Sender<Result<(), Error>>),
    Read(oneshot::Sender<Result<Vec<f64>, Error>>),
}

impl CounterTables {
    pub(crate) fn new(path: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.to_owned(),
            clock,
            calls: OnceLock::new(),
        }
    }

    fn start(&self) -> Result<mpsc::SyncSender<Call>, Error> {
        let connection = Connection::open(&self.path).map_err(database_error)?;
        prepare(&connection).map_err(database_error)?;
        connection
            .execute_batch("PRAGMA synchronous = NORMAL;")
            .and_then(|()| connection.execute_batch(TABLES))
            .map_err(database_error)?;
        let (calls, queue) = mpsc::sync_channel(QUEUE);
        let clock = Arc::clone(&self.clock);
        std::thread::Builder::new()
            .name("store-counters".to_owned())
            .spawn(move || run(connection, &queue, &*clock))
            .map_err(|error| Error::Unavailable(format!("no thread for counters: {error}")))?;
        Ok(calls)
    }

    async fn ask<T>(
        &self,
        subject: &Subject,
        windows: &[Window],
        what: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> What,
    ) -> Result<T, Error> {
        let calls = self.calls.get_or_init(|| self.start());
        let calls = calls.as_ref().map_err(Clone::clone)?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            subject: subject.clone(),
            windows: windows.to_vec(),
            what: what(reply),
        };
        let full = || Error::Unavailable("too many wait for counters".to_owned());
        calls.try_send(call).map_err(|_| full())?;
        answer.await.map_err(|_| closed())?
    }
}

#[async_trait]
impl Counters for SqliteStore {
    async fn take(&self, subject: &Subject, windows: &[Window]) -> Result<Taken, Error> {
        self.counters.ask(subject, windows, What::Take).await
    }

    async fn add_usage(
        &self,
        subject: &Subject,
        windows: &[Window],
        amount: i64,
    ) -> Result<(), Error> {
        let what = |reply| What::Add(amount, reply);
        self.counters.ask(subject, windows, what).await
    }

    async fn usage(&self, subject: &Subject, windows: &[Window]) -> Result<Vec<f64>, Error> {
        self.counters.ask(subject, windows, What::Read).await
    }
}

/// Works until nobody can ask any more.
fn run(mut connection: Connection, calls: &mpsc::Receiver<Call>, clock: &dyn Clock) {
    let mut cleaned = None;
    while let Ok(first) = calls.recv() {
        let more = calls.try_iter().take(MOST_AT_ONCE - 1);
        let batch: Vec<_> = std::iter::once(first).chain(more).collect();
        let now = clock.monotonic();
        let clean = cleaned.is_none_or(|at| now.duration_since(at) >= HOUSEKEEPING);
        if clean {
            cleaned = Some(now);
        }
        let replies = match transaction(&mut connection, &batch, clock.unix_seconds(), clean) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => {
                let error = database_error(error);
                batch.iter().map(|_| Err(error.clone())).collect::<Vec<_>>()
            }
        };
        for (call, answer) in batch.into_iter().zip(replies) {
            call.answer(answer);
        }
    }
}

/// What a call came to: whether there was room, and what the windows held before.
type Answer = Taken;

impl Call {
    /// Tells whoever asked, who may have gone.
    fn answer(self, answer: Result<Answer, Error>) {
        let _ = match self.what {
            What::Take(reply) => reply.send(answer).is_ok(),
            What::Add(_, reply) => reply.send(answer.map(drop)).is_ok(),
            What::Read(reply) => reply.send(answer.map(|answer| answer.used)).is_ok(),
        };
    }
}

/// Does what all calls want, in their order.
fn transaction(
    connection: &mut Connection,
    batch: &[Call],
    now: i64,
    clean: bool,
) -> Result<Vec<Answer>, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if clean {
        for table in [REQUESTS, USAGE] {
            transaction.execute(&format!("DELETE FROM {table} WHERE ttl < ?1"), [now])?;
        }
    }
    let answers = batch
        .iter()
        .map(|call| count(&transaction, call, now))
        .collect::<Result<Vec<_>, _>>()?;
    transaction.commit()?;
    Ok(answers)
}

fn count(connection: &Connection, call: &Call, now: i64) -> Result<Answer, rusqlite::Error> {
    let (table, amount) = match call.what {
        What::Take(_) => (REQUESTS, Some(1)),
        What::Add(amount, _) => (USAGE, Some(amount)),
        What::Read(_) => (USAGE, None),
    };
    let mut used = Vec::with_capacity(call.windows.len());
    for window in &call.windows {
        used.push(held(connection, table, &call.subject, window)?);
    }
    let has_room = used
        .iter()
        .zip(&call.windows)
        .all(|(used, window)| *used < window.limit);
    let granted = has_room || !matches!(call.what, What::Take(_));
    if let (Some(amount), true) = (amount, granted) {
        for window in &call.windows {
            add(connection, table, &call.subject, window, amount, now)?;
        }
    }
    Ok(Taken { granted, used })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counters stay far below what a double holds exactly"
)]
fn held(
    connection: &Connection,
    table: &str,
    subject: &Subject,
    window: &Window,
) -> Result<f64, rusqlite::Error> {
    let sql = format!(
        "SELECT value FROM {table} WHERE identifier = ?1 AND period = ?2 AND period_date = ?3 \
         AND service_id = ?4 AND route_id = ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (service, route) = (subject.service.to_string(), subject.route.to_string());
    let key = params![
        subject.identifier,
        window.period,
        window.start,
        service,
        route
    ];
    let value: Option<i64> = statement.query_row(key, |row| row.get(0)).optional()?;
    Ok(value.unwrap_or(0) as f64)
}

fn add(
    connection: &Connection,
    table: &str,
    subject: &Subject,
    window: &Window,
    amount: i64,
    now: i64,
) -> Result<(), rusqlite::Error> {
    let sql = format!(
        "INSERT INTO {table} (identifier, period, period_date, service_id, route_id, value, ttl) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT DO UPDATE SET value = value + excluded.value"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.execute(params![
        subject.identifier,
        window.period,
        window.start,
        subject.service.to_string(),
        subject.route.to_string(),
        amount,
        now.saturating_add(window.length.into()),
    ])?;
    Ok(())
}
