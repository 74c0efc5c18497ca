//! The task that notices changes: it listens for notifications, and asks from time to time in case one got lost.
//!
//! The same task looks after the database: expired rows, the length of the change log, idle connections.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use stdx::SeededRandom;
use store::{Error, Version};

use crate::Shared;
use crate::cell::{Cell, Micros};
use crate::failure::Failure;
use crate::line::Line;
use crate::log::{self, Trim};
use crate::pool::Query;
use crate::table::{TTL, quoted};

/// The first pause after the connection was lost, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often the database is looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Runs until the store is gone.
pub(crate) async fn run(shared: Weak<Shared>) {
    let mut random = SeededRandom::from_entropy();
    let mut pause = PAUSE.0;
    let mut reported = false;
    loop {
        let started = Instant::now();
        let Some(error) = follow(&shared).await else {
            return;
        };
        if started.elapsed() > PAUSE.1 {
            pause = PAUSE.0;
            reported = false;
        }
        if !reported {
            tracing::warn!(%error, "changes of the database cannot be followed; trying again");
            reported = true;
        }
        // Half of the pause is chance, so that many nodes do not return at the same moment.
        let half = u64::try_from(pause.as_millis() / 2).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_millis(half + random.below(half.max(1)))).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Follows the database until that fails; `None` means that the store is gone.
async fn follow(shared: &Weak<Shared>) -> Option<Error> {
    let line = {
        let shared = shared.upgrade()?;
        match open(&shared).await {
            Ok(line) => line,
            Err(error) => return Some(error),
        }
    };
    tracing::debug!("following the changes of the database");
    let mut looked_after: Option<Instant> = None;
    let error = loop {
        let (heard, poll) = {
            let shared = shared.upgrade()?;
            if let Err(error) = look(&shared, &line).await {
                break error;
            }
            if looked_after.is_none_or(|at| at.elapsed() > HOUSEKEEPING) {
                looked_after = Some(Instant::now());
                look_after(&shared).await;
            }
            shared.pool.close_idle();
            (Arc::clone(&shared.heard), shared.options.poll)
        };
        // A notification or the end of the connection; the pause is the fall-back.
        let _ = tokio::time::timeout(poll, heard.stir.notified()).await;
    };
    *shared.upgrade()?.line.lock() = None;
    Some(error)
}

async fn open(shared: &Arc<Shared>) -> Result<Arc<Line>, Error> {
    shared.prepared().await?;
    let line = Arc::new(Line::open(shared).await?);
    *shared.line.lock() = Some(Arc::clone(&line));
    Ok(line)
}

/// Asks for the newest version and tells it to whoever waits.
async fn look(shared: &Shared, line: &Line) -> Result<(), Error> {
    let asked = line.ask(&log::Newest, shared.options.timeout).await;
    let version = asked.map_err(Failure::into_error)?;
    shared
        .newest
        .send_if_modified(|seen: &mut Option<Version>| {
            if *seen > Some(version) {
                shared.heard.forget_roll();
            }
            let moved = *seen != Some(version);
            *seen = Some(version);
            moved
        });
    Ok(())
}

async fn look_after(shared: &Shared) {
    let keep = shared.options.change_log;
    let now = shared.now();
    let done = match shared.pool.run(&Trim { keep }).await {
        Ok(()) => shared.pool.run(&RemoveExpired { now }).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        tracing::warn!(%error, "the database could not be looked after");
    }
}

/// Removes expired rows from every table that has a time to live, Kong's own tables included.
struct RemoveExpired {
    now: Micros,
}

/// Rows that are removed from a table in one go.
const BATCH: usize = 1000;

#[async_trait]
impl Query for RemoveExpired {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let sql = "SELECT table_name::text FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND column_name = $1 \
                   AND data_type = 'timestamp with time zone'";
        let now = Cell::Time(self.now);
        let mut expiring: Vec<(String, &str)> = Vec::new();
        for (column, of) in [(TTL, None), ("expire_at", Some("cluster_events"))] {
            for row in client.query(sql, &[&column]).await? {
                let table: String = row.try_get(0)?;
                if of.is_none_or(|of| of == table) {
                    expiring.push((table, column));
                }
            }
        }
        for (table, column) in expiring {
            let (table, column) = (quoted(&table), quoted(column));
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} \
                 WHERE {column} <= $1 ORDER BY {column} LIMIT {BATCH} FOR UPDATE SKIP LOCKED))"
            );
            while client.execute(&sql, &[&now]).await? == BATCH as u64 {}
        }
        Ok(())
    }
}
