//! What the Admin API asks of the node about the other nodes, and about its own place among them.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use observe::logging::Level;
use store::Version;
use uuid::Uuid;

/// The nodes that share a database, as one of them sees it; a node with a store of its own is a cluster of one.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// How this node stands.
    fn standing(&self) -> Standing;

    /// All nodes that are known; while the database is away, those that were known before.
    ///
    /// # Errors
    /// `Database` if the register of nodes cannot be read.
    async fn nodes(&self) -> Result<Listing, store::Error>;

    /// Waits until all live nodes serve a version; returns those that do not when the time is over.
    ///
    /// # Errors
    /// `Unavailable` if the database went away, so that nobody knows.
    async fn wait(
        &self,
        version: Version,
        limit: Duration,
    ) -> Result<Vec<ClusterNode>, store::Error>;

    /// Waits until this node serves a version; says whether it does when the time is over.
    async fn reach(&self, version: Version, limit: Duration) -> bool;

    /// Sets the level of the error log of all other nodes for a while; those that cannot be told now are told later.
    async fn tell_log_level(&self, level: Level, timeout: Duration);

    /// Takes the database's content as it is, although it looks as if it had been lost.
    fn accept_database(&self);
}

/// How a node stands to its database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The version that the proxy serves; `None` before the first.
    pub applied: Option<Version>,
    /// The newest version that the node knows of.
    pub newest: Option<Version>,
    /// Since when there are changes that the proxy does not serve yet.
    pub behind_since: Option<SystemTime>,
    pub database: Database,
    /// Why the content of the database is not used, if it is not.
    pub held: Option<String>,
}

/// Whether the database answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Database {
    /// It has not been asked yet.
    #[default]
    Unknown,
    Reachable,
    Away {
        since: SystemTime,
        reason: String,
    },
}

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    pub nodes: Vec<ClusterNode>,
    /// Since when what it says of other nodes may be out of date, because the database is away.
    pub stale_since: Option<SystemTime>,
}

/// One node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// The node's own id, kept over restarts.
    pub id: Uuid,
    pub hostname: String,
    /// Where it can be reached, as URLs.
    pub addresses: Vec<String>,
    /// The version of the program.
    pub program: String,
    pub started_at: SystemTime,
    pub last_seen: SystemTime,
    /// Whether it reported lately.
    pub alive: bool,
    /// The version that its proxy serves.
    pub applied: Version,
    /// How many versions that is behind the newest.
    pub lag: u64,
}
