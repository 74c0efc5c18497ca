//! What the nodes of one cluster tell each other through the database that they share.

use std::time::SystemTime;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Error, Version};

/// One node, as it wrote itself down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The node's own id, kept over restarts.
    pub id: Uuid,
    /// The machine's name.
    pub hostname: String,
    /// Where it can be reached, as URLs: proxy, then Admin API, then Status API.
    pub addresses: Vec<String>,
    /// The version of the program.
    pub program: String,
    pub started_at: SystemTime,
    /// When it reported last, by the database's clock.
    pub last_seen: SystemTime,
    /// The configuration that its data plane serves.
    pub applied: Version,
}

/// Something that one node tells all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub channel: String,
    pub text: String,
}

/// The register of nodes, and words between them. A node is alive while its report is younger than the register's users
/// agree on.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Writes this node's row; the database gives `last_seen`. Whoever waits in [`reported`](Self::reported) hears of it
    /// if `loud`.
    async fn report(&self, own: &Peer, loud: bool) -> Result<(), Error>;

    /// Every row, oldest start first, and the database's present time to compare `last_seen` with.
    async fn list(&self) -> Result<(Vec<Peer>, SystemTime), Error>;

    /// Removes the row of a node that ended, or that has not been seen since long.
    async fn forget(&self, id: Uuid) -> Result<(), Error>;

    /// Asks every node to report loudly as soon as it has applied `version`.
    async fn call_roll(&self, version: Version) -> Result<(), Error>;

    /// The newest version that was asked for in [`call_roll`](Self::call_roll) and is greater than `beyond`; waits for it.
    async fn roll_called(&self, beyond: Version) -> Version;

    /// Resolves when some node has reported loudly after this was called (not after the first poll); may resolve early.
    ///
    /// So a waiter calls it, reads [`list`](Self::list), and then awaits what it got.
    async fn reported(&self);

    /// Tells every other node that shares the database, now or when it can be reached again, but not after an hour.
    async fn tell(&self, word: &Word) -> Result<(), Error>;

    /// Has words on a channel kept for [`told`](Self::told) from now on.
    fn listen(&self, channel: &str);

    /// Words of others on the channels that somebody listens to, none of them twice, in about the order in which they
    /// were told; waits for the first.
    async fn told(&self) -> Vec<Word>;
}
