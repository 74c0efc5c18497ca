//! How long the parts of the protocol take, in one place.

use std::time::Duration;

use store::Store;

/// Pauses and periods; those that many nodes have in common are spread by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the start of a node waits for the shared store when there is something else to serve.
    pub patience: Duration,
    /// How long a read waits for the shared store when the replica can answer it.
    pub read: Duration,
    /// How often the store is asked although it announced nothing.
    pub poll: Duration,
    /// The first pause after a failure, and the longest.
    pub retry: (Duration, Duration),
    /// How long after a failed write to the replica the next one is tried.
    pub replica_retry: Duration,
    /// When the replica is compared with the shared store for the first time after a start or a reload, and how often
    /// in the long run.
    pub compare: (Duration, Duration),
    /// How long a comparison may keep changes waiting.
    pub comparison: Duration,
    /// How often a database that is not believed is looked at again.
    pub doubt: Duration,
    /// After what time a database that lost some kinds of records, but not all, is believed.
    pub belief: Duration,
    /// How often a node reports to the others.
    pub heartbeat: Duration,
    /// How long after its last report a node counts as alive.
    pub alive: Duration,
    /// After what time the row of a node that is gone is removed.
    pub forget: Duration,
}

impl Timing {
    /// What suits a store: one with peers announces its changes and is spared, another is cheap to ask.
    pub fn for_store(store: &dyn Store) -> Self {
        let shared = store.peers().is_some();
        Self {
            patience: Duration::from_secs(1),
            read: Duration::from_millis(1500),
            poll: Duration::from_secs(if shared { 30 } else { 1 }),
            retry: (Duration::from_millis(100), Duration::from_secs(1)),
            replica_retry: Duration::from_secs(30),
            compare: (Duration::from_secs(10), Duration::from_secs(600)),
            comparison: Duration::from_secs(10),
            doubt: Duration::from_secs(5),
            belief: Duration::from_secs(60),
            heartbeat: Duration::from_secs(2),
            alive: Duration::from_secs(8),
            forget: Duration::from_secs(24 * 3600),
        }
    }
}
