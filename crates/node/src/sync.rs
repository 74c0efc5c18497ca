//! From the store to the data plane: follow the change feed, compile what changed, publish it.
//!
//! Invariant: what is published is never replaced because of a failure; a record that cannot be compiled leaves what
//! was there, and a store that cannot be reached leaves everything.

use std::sync::Arc;
use std::time::Duration;

use proxy::Shared;
use snapshot::{Problem, Snapshot, Upstream};
use store::{Catalog, Changes, Store, Version};
use tokio::sync::watch;

use crate::Error;
use crate::info::Process;

/// How long to wait before a store that failed is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// How often a store is asked although it announced nothing: another process may have written to it.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Keeps the published configuration like the store.
pub struct Follower {
    store: Arc<dyn Store>,
    catalog: Catalog,
    data_plane: Arc<Shared>,
    process: Arc<Process>,
    /// Announces the version that the data plane has.
    applied: watch::Sender<Version>,
}

/// Reads the whole configuration for the first time.
pub async fn load(
    store: &dyn Store,
    catalog: &Catalog,
    options: snapshot::Options,
) -> Result<Snapshot, Error> {
    let (first, problems) = snapshot::load(store, catalog, options).await?;
    report(&problems);
    for upstream in first.upstreams() {
        warn_of_health_checks(upstream);
    }
    Ok(first)
}

impl Follower {
    /// Goes on from what the data plane serves.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Catalog,
        data_plane: Arc<Shared>,
        process: Arc<Process>,
        applied: watch::Sender<Version>,
    ) -> Self {
        applied.send_replace(data_plane.snapshot().version);
        Self {
            store,
            catalog,
            data_plane,
            process,
            applied,
        }
    }

    /// Follows the store until the task is aborted.
    pub async fn run(self) {
        loop {
            let since = self.data_plane.snapshot().version;
            // Passing in silence is as good a reason to look as an announcement.
            let _ = tokio::time::timeout(LOOK_AROUND, self.store.changed(since)).await;
            let data_plane = self.data_plane.clone();
            let outcome = self.catch_up(since).await;
            tokio::task::spawn_blocking(move || data_plane.free_retired());
            match outcome {
                Ok(()) => self.process.set_reachable(true),
                Err(error) => {
                    self.process.set_reachable(false);
                    tracing::error!(
                        "cannot read changes of the configuration, serving the last one: {error}"
                    );
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn catch_up(&self, since: Version) -> Result<(), Error> {
        match self.store.changes(since).await? {
            Changes::Events { until, .. } if until == since => {}
            Changes::Events { until, events } => {
                let changes = snapshot::fetch(self.store.as_ref(), &self.catalog, &events).await?;
                let upstreams = changes.iter().filter(|change| change.entity == "upstreams");
                let touched: Vec<_> = upstreams.map(|change| change.id).collect();
                let before = self.data_plane.snapshot();
                // Compiling may take long; the control side has other things to do meanwhile.
                let compiled =
                    tokio::task::spawn_blocking(move || before.with(until, changes)).await;
                let (next, problems) =
                    compiled.map_err(|error| Error::Configuration(error.to_string()))?;
                report(&problems);
                for id in touched {
                    if let Some(upstream) = next.upstream_by_id(id) {
                        warn_of_health_checks(upstream);
                    }
                }
                self.publish(next);
            }
            Changes::Reload { from } => {
                let options = self.data_plane.snapshot().options().clone();
                let mut next = load(self.store.as_ref(), &self.catalog, options).await?;
                next.version = next.version.max(from);
                self.publish(next);
            }
        }
        Ok(())
    }

    fn publish(&self, next: Snapshot) {
        let version = next.version;
        self.data_plane.publish(Arc::new(next));
        self.applied.send_replace(version);
        tracing::debug!(version = version.0, "a configuration is published");
    }
}

/// What is configured and not acted on is said by name.
fn warn_of_health_checks(upstream: &Upstream) {
    if upstream.asks_for_health_checks() {
        tracing::warn!(
            "upstream {}: healthchecks are kept but not carried out by this version, every target counts as healthy",
            upstream.name
        );
    }
}

fn report(problems: &[Problem]) {
    for problem in problems {
        tracing::error!("a part of the configuration cannot be used: {problem}");
    }
}
