//! The one connection that an idle node keeps: it hears notifications, and carries short queries besides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use store::{Error, Version};
use tokio::sync::{Notify, watch};

use crate::Shared;
use crate::failure::Failure;
use crate::log::version_of;
use crate::pool::{Dedicated, Listener, Query, too_slow, within};

/// The channel on which commits are announced, by the triggers.
const CHANGES: &str = "silverback_changes";

/// The channel on which all nodes are asked to report.
pub(crate) const ROLL: &str = "silverback_roll";

/// The channel on which loud reports are announced.
pub(crate) const REPORTS: &str = "silverback_reports";

/// The channel on which words between nodes are announced.
pub(crate) const WORDS: &str = "silverback_words";

/// What was heard, for those who wait for it.
pub(crate) struct Heard {
    /// The schema that this node works on; others of the same database share the channels.
    schema: Mutex<Option<String>>,
    /// Something was committed, or the line is gone.
    pub(crate) stir: Notify,
    /// The newest version that a roll was called for.
    pub(crate) roll: watch::Sender<Version>,
    /// Counts loud reports.
    pub(crate) reports: watch::Sender<u64>,
    /// Somebody told something.
    pub(crate) told: AtomicBool,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            schema: Mutex::default(),
            stir: Notify::new(),
            roll: watch::Sender::new(Version(0)),
            reports: watch::Sender::new(0),
            told: AtomicBool::new(false),
        }
    }
}

impl Heard {
    /// Versions start again, as after a fail-over to a server that had missed the last commits.
    pub(crate) fn forget_roll(&self) {
        self.roll.send_replace(Version(0));
    }

    fn count_report(&self) {
        self.reports
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Sorts notifications by their channel.
struct Ear(Arc<Heard>);

impl Listener for Ear {
    fn notified(&self, channel: &str, payload: &str) {
        let heard = &self.0;
        // The payload is the name of a schema; that of a roll call has a version and a space before it.
        let (version, schema) = match channel {
            ROLL => payload.split_once(' ').unwrap_or_default(),
            _ => ("", payload),
        };
        if heard.schema.lock().as_deref() != Some(schema) {
            return;
        }
        match channel {
            CHANGES => heard.stir.notify_one(),
            REPORTS => heard.count_report(),
            WORDS => {
                heard.told.store(true, Ordering::Relaxed);
                heard.stir.notify_one();
            }
            ROLL => {
                let version = version_of(version.parse().unwrap_or(0));
                heard.roll.send_if_modified(|newest| {
                    let newer = *newest < version;
                    *newest = version.max(*newest);
                    newer
                });
            }
            _ => {}
        }
    }

    fn ended(&self) {
        self.0.stir.notify_one();
    }
}

/// The connection while it is there.
pub(crate) struct Line(Dedicated);

impl Line {
    /// Connects and listens.
    pub(crate) async fn open(shared: &Shared) -> Result<Self, Error> {
        let options = &shared.options;
        let ear = Ear(Arc::clone(&shared.heard));
        let connection = Dedicated::connect(options, options.timeout, ear).await?;
        let client = &connection.client;
        let set_up = async {
            // What it writes are reports, which the next one makes good.
            let listen = format!(
                "SET synchronous_commit = off; LISTEN {CHANGES}; LISTEN {ROLL}; LISTEN {REPORTS}; \
                 LISTEN {WORDS}"
            );
            let row = client
                .query_one("SELECT current_schema()::text", &[])
                .await?;
            *shared.heard.schema.lock() = row.try_get(0)?;
            client.batch_execute(&listen).await
        };
        within(options.timeout, set_up).await?;
        // Whatever was told while nobody listened has to be looked for.
        shared.heard.count_report();
        Ok(Self(connection))
    }

    /// Asks over this connection; a failure of the connection itself is one of the whole line.
    pub(crate) async fn ask<Q: Query>(
        &self,
        query: &Q,
        limit: Duration,
    ) -> Result<Q::Output, Failure> {
        let asking = Query::run(query, &self.0.client);
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Broken(too_slow())),
        }
    }
}
