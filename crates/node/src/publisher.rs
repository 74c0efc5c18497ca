//! From records to the data plane: compile what changed, publish it.
//!
//! Invariant: what is published is never replaced because of a failure; a record that cannot be compiled leaves what
//! was there, and a store that cannot be reached leaves everything.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use cluster::{Error, Publish};
use proxy::Shared;
use snapshot::{Change, ENTITIES, Problem, Snapshot};
use store::{Catalog, Store, Version};
use tokio::task::JoinHandle;

use crate::memory;
use crate::plugin_table::LateRecords;

/// How often configurations that no request uses any more are looked for.
const CLEARING: Duration = Duration::from_secs(1);

/// Compiles configurations and hands them to the workers.
pub struct Publisher {
    data_plane: Arc<Shared>,
    catalog: Catalog,
    /// What plugins have looked up.
    records: Arc<LateRecords>,
}

impl Publisher {
    /// Publishes to `data_plane`.
    pub fn new(data_plane: Arc<Shared>, catalog: Catalog, records: Arc<LateRecords>) -> Self {
        Self {
            data_plane,
            catalog,
            records,
        }
    }

    fn publish(&self, next: Snapshot) {
        let version = next.version;
        self.data_plane.publish(Arc::new(next));
        tracing::debug!(version = version.0, "a configuration is published");
    }
}

#[async_trait]
impl Publish for Publisher {
    fn wants(&self, _entity: &str) -> bool {
        // Whatever a snapshot does not hold, a plugin may have looked up.
        true
    }

    async fn load(&self, source: &dyn Store, at_least: Version) -> Result<Version, Error> {
        let options = self.data_plane.snapshot().options().clone();
        let (mut next, problems) = snapshot::load(source, &self.catalog, options).await?;
        report(&problems);
        next.version = next.version.max(at_least);
        let version = next.version;
        self.records.clear();
        self.publish(next);
        Ok(version)
    }

    async fn apply(&self, changes: Arc<Vec<store::Change>>, until: Version) -> Result<(), Error> {
        for change in changes.iter() {
            self.records
                .changed(change.schema.name, change.id, change.record.as_ref());
        }
        let changes: Vec<Change> = changes.iter().filter_map(wanted).collect();
        let before = self.data_plane.snapshot();
        // Compiling may take long; the control side has other things to do meanwhile.
        let compiled = tokio::task::spawn_blocking(move || before.with(until, changes)).await;
        let (next, problems) = compiled.map_err(|error| Error::Publish(error.to_string()))?;
        report(&problems);
        self.publish(next);
        Ok(())
    }
}

/// The change as a snapshot takes it; none if no snapshot holds such records.
fn wanted(change: &store::Change) -> Option<Change> {
    let entity = ENTITIES
        .into_iter()
        .find(|name| *name == change.schema.name)?;
    Some(Change {
        entity,
        id: change.id,
        record: change.record.clone(),
    })
}

/// Frees configurations that were replaced, off the workers, for as long as there is a data plane.
pub fn clear(data_plane: &Arc<Shared>) -> JoinHandle<()> {
    let data_plane: Weak<Shared> = Arc::downgrade(data_plane);
    let clearing = async move {
        let mut ticks = tokio::time::interval(CLEARING);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(data_plane) = data_plane.upgrade() else {
                return;
            };
            // Freeing a large one takes its time.
            let freed = tokio::task::spawn_blocking(move || data_plane.free_retired()).await;
            match freed {
                Ok(true) => memory::freed(),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!("configurations that were replaced are not freed: {error}");
                }
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = clearing => {}
            () = memory::give_back() => {}
        }
    })
}

fn report(problems: &[Problem]) {
    for problem in problems {
        tracing::error!("a part of the configuration cannot be used: {problem}");
    }
}
