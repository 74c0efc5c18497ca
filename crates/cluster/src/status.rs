//! What a node knows about its own place in the cluster.

use std::time::SystemTime;

use store::Version;

/// How this node stands to the shared store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What the data plane serves; `None` before anything is published.
    pub applied: Option<Version>,
    /// What the replica has; `None` without one, or while it is empty.
    pub replica: Option<Version>,
    /// The newest version of the shared store that this node has heard of.
    pub newest: Option<Version>,
    /// Since when the data plane has been behind the newest version that is known.
    pub behind_since: Option<SystemTime>,
    pub contact: Contact,
    /// Why the content of the database is not believed, while that is so.
    pub held: Option<String>,
    pub counters: Counters,
}

/// Whether the shared store answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Contact {
    /// It has not answered since this process started.
    #[default]
    Never,
    Up,
    /// It answered before.
    Down {
        /// When it answered last.
        since: SystemTime,
        reason: String,
    },
}

/// What has happened since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Everything was read again.
    pub reloads: u64,
    /// A collection of the replica was found to differ from the shared store's.
    pub divergences: u64,
    /// Records that differed and were read again.
    pub healed: u64,
    /// Comparisons of the replica with the shared store that came to an end.
    pub comparisons: u64,
    /// Calls to the shared store that failed.
    pub failures: u64,
    /// Configurations that the data plane did not take.
    pub publish_failures: u64,
    /// Writes to the replica that failed.
    pub replica_failures: u64,
}
