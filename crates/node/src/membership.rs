//! This node among the others, as the Admin API asks about it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use admin::NodeInfo as _;
use admin::cluster::{Cluster, ClusterNode, Database, Standing};
use async_trait::async_trait;
use parking_lot::Mutex;
use stdx::Clock;
use store::Version;
use tokio::sync::watch;

use crate::applied::wait_until_applied;
use crate::info::Process;

/// A node that has its store for itself.
pub struct Membership {
    process: Arc<Process>,
    clock: Arc<dyn Clock>,
    applied: watch::Receiver<Version>,
    started_at: SystemTime,
    addresses: Mutex<Vec<String>>,
}

impl Membership {
    /// A node that serves what `applied` says.
    pub fn new(
        process: Arc<Process>,
        clock: Arc<dyn Clock>,
        applied: watch::Receiver<Version>,
    ) -> Self {
        let started_at = clock.now();
        Self {
            process,
            clock,
            applied,
            started_at,
            addresses: Mutex::default(),
        }
    }

    /// Where the node can be reached from now on.
    pub fn set_addresses(&self, addresses: Vec<String>) {
        *self.addresses.lock() = addresses;
    }
}

#[async_trait]
impl Cluster for Membership {
    fn standing(&self) -> Standing {
        let applied = *self.applied.borrow();
        Standing {
            applied: Some(applied),
            newest: Some(applied),
            behind_since: None,
            database: Database::Reachable,
            held: None,
        }
    }

    async fn nodes(&self) -> Result<Vec<ClusterNode>, store::Error> {
        Ok(vec![ClusterNode {
            id: self.process.id(),
            hostname: self.process.hostname(),
            addresses: self.addresses.lock().clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            last_seen: self.clock.now(),
            alive: true,
            applied: *self.applied.borrow(),
            lag: 0,
        }])
    }

    async fn wait(
        &self,
        version: Version,
        limit: Duration,
    ) -> Result<Vec<ClusterNode>, store::Error> {
        if self.reach(version, limit).await {
            return Ok(Vec::new());
        }
        self.nodes().await
    }

    async fn reach(&self, version: Version, limit: Duration) -> bool {
        wait_until_applied(&self.applied, version, limit).await
    }

    fn accept_database(&self) {}
}
