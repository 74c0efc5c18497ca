//! The task that notices changes: it listens for notifications, and asks from time to time in case one got lost.
//!
//! The same task looks after the database: that the change log follows everything, and, on one node of all, expired
//! rows and the length of the log.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use stdx::SeededRandom;
use store::Error;

use crate::cell::{Cell, Micros};
use crate::cluster_events::ByKong;
use crate::counters::ForgetUsage;
use crate::failure::Failure;
use crate::line::Line;
use crate::log::{self, Place, Trim};
use crate::migrations::IsComplete;
use crate::pool::Query;
use crate::table::{TTL, quoted};
use crate::words;
use crate::{LineState, Shared};

/// The first pause after the connection was lost, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How often the database is looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Runs until the store is gone.
pub(crate) async fn run(shared: Weak<Shared>) {
    let mut random = SeededRandom::from_entropy();
    let mut pause = PAUSE.0;
    let mut reported = false;
    loop {
        let started = Instant::now();
        match shared.upgrade() {
            Some(shared) => shared.line.send_replace(LineState::Opening),
            None => return,
        };
        let Some(error) = follow(&shared).await else {
            return;
        };
        match shared.upgrade() {
            Some(shared) => shared.line.send_replace(LineState::Away(error.clone())),
            None => return,
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
    let mut follower = {
        let shared = shared.upgrade()?;
        match Follower::start(&shared).await {
            Ok(follower) => follower,
            Err(error) => return Some(error),
        }
    };
    tracing::debug!("following the changes of the database");
    let error = loop {
        let (heard, poll) = {
            let shared = shared.upgrade()?;
            if let Err(error) = follower.look(&shared).await {
                break error;
            }
            shared.pool.close_idle();
            if let Some(replica) = &shared.replica {
                replica.close_idle();
            }
            (Arc::clone(&shared.heard), shared.options.poll)
        };
        // A notification or the end of the connection; the pause is the fall-back.
        let _ = tokio::time::timeout(poll, heard.stir.notified()).await;
    };
    Some(error)
}

/// What is known while one connection lasts.
struct Follower {
    line: Arc<Line>,
    /// Up to where events of Kong's have been heeded.
    kong: Option<Micros>,
    looked_at_kong: Option<Instant>,
    /// When the database was looked after, or somebody else was found to do it.
    looked_after: Option<Instant>,
}

impl Follower {
    async fn start(shared: &Shared) -> Result<Self, Error> {
        shared.prepared().await?;
        let line = Arc::new(Line::open(shared).await?);
        shared.line.send_replace(LineState::Open(Arc::clone(&line)));
        let follower = Self {
            line,
            kong: None,
            looked_at_kong: None,
            looked_after: None,
        };
        // The database may be another one than before.
        follower.verify(shared).await?;
        Ok(follower)
    }

    async fn ask<Q: Query>(&self, shared: &Shared, query: &Q) -> Result<Q::Output, Error> {
        let asked = self.line.ask(query, shared.options.timeout).await;
        asked.map_err(Failure::into_error)
    }

    /// Looks for whatever may have happened.
    async fn look(&mut self, shared: &Shared) -> Result<(), Error> {
        let end = self.ask(shared, &log::End).await?;
        shared.newest.send_if_modified(|seen: &mut Option<Place>| {
            if seen.is_some_and(|seen| seen.version > end.version) {
                shared.heard.forget_roll();
            }
            let moved = seen.is_none_or(|seen| end.differs(seen.version, seen.written));
            *seen = Some(end);
            moved
        });
        if self
            .looked_at_kong
            .is_none_or(|at| at.elapsed() >= shared.options.poll)
        {
            self.looked_at_kong = Some(Instant::now());
            let after = self.kong;
            let seen = self.ask(shared, &ByKong { after }).await?;
            self.kong = Some(seen.until);
            if seen.news {
                self.verify(shared).await?;
            }
            shared.heard.told.store(true, Ordering::Relaxed);
        }
        if shared.heard.told.swap(false, Ordering::Relaxed) {
            words::look(shared, &self.line).await?;
        }
        let due = |at: Instant| at.elapsed() > HOUSEKEEPING;
        if self.looked_after.is_none_or(due) {
            self.looked_after = Some(Instant::now());
            self.verify(shared).await?;
            if self.ask(shared, &Lead).await? {
                self.look_after(shared).await?;
            }
        }
        Ok(())
    }

    /// Makes sure that the change log still follows everything, such as after a dump without it was restored.
    async fn verify(&self, shared: &Shared) -> Result<(), Error> {
        if self.ask(shared, &IsComplete(&shared.tables)).await? {
            return Ok(());
        }
        shared.prepare().await?;
        tracing::warn!("the change log did not follow all tables; what was missing is added");
        Ok(())
    }

    async fn look_after(&self, shared: &Shared) -> Result<(), Error> {
        let keep = shared.options.change_log;
        self.ask(shared, &Trim { keep }).await?;
        let now = shared.now();
        self.ask(shared, &RemoveExpired { now }).await?;
        self.ask(shared, &ForgetUsage).await
    }
}

/// Becomes the one node that looks after the database, until its connection ends; `false` if another one is.
struct Lead;

#[async_trait]
impl Query for Lead {
    type Output = bool;

    async fn run(&self, client: &ClientWrapper) -> Result<bool, Failure> {
        let sql = "SELECT pg_try_advisory_lock(1936288867, hashtext(current_schema()))";
        Ok(client.query_one(sql, &[]).await?.try_get(0)?)
    }
}

/// Removes expired rows from every table that has a time to live, Kong's own tables included.
///
/// They have expired by the clock of the database as well, so that a node whose clock is wrong does no harm.
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
                 WHERE {column} <= least($1, now()) ORDER BY {column} LIMIT {BATCH} FOR UPDATE SKIP LOCKED))"
            );
            while client.execute(&sql, &[&now]).await? == BATCH as u64 {}
        }
        Ok(())
    }
}
