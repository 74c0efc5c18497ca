//! This node among the others, as the Admin API asks about it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use admin::NodeInfo as _;
use admin::cluster::{Cluster, ClusterNode, Database, Listing, Standing};
use async_trait::async_trait;
use cluster::{Contact, Member, Status, Words};
use observe::logging::Level;
use parking_lot::Mutex;
use stdx::Clock;
use store::{Peer, Version};

use crate::applied::wait_until_applied;
use crate::info::Process;
use crate::log_level;

/// The node's part in its cluster, which is one of its own unless the store is shared.
pub struct Membership {
    cluster: Arc<cluster::Cluster>,
    process: Arc<Process>,
    words: Arc<Words>,
    clock: Arc<dyn Clock>,
    started_at: SystemTime,
    addresses: Mutex<Vec<String>>,
}

impl Membership {
    /// A node that nobody knows yet.
    pub fn new(
        cluster: Arc<cluster::Cluster>,
        process: Arc<Process>,
        words: Arc<Words>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let started_at = clock.now();
        let listener = process.clone();
        let hear = move |text: &str| match log_level::parse(text) {
            Some((level, timeout)) => listener.set_log_level(level, timeout),
            None => tracing::warn!("another node said what nobody understands of the log level"),
        };
        words.hear(log_level::CHANNEL, Arc::new(hear));
        Self {
            cluster,
            process,
            words,
            clock,
            started_at,
            addresses: Mutex::default(),
        }
    }

    /// Tells the others where this node can be reached, from now on.
    pub fn join(&self, addresses: Vec<String>) {
        (*self.addresses.lock()).clone_from(&addresses);
        self.cluster.join(Member {
            id: self.process.id(),
            hostname: self.process.hostname(),
            addresses,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
        });
    }

    /// Takes leave of the others.
    pub async fn leave(&self) {
        self.cluster.stop().await;
    }

    /// What this node knows of itself, for when nobody else can be asked.
    fn own(&self) -> ClusterNode {
        let status = self.cluster.status();
        let applied = status.applied.unwrap_or_default();
        ClusterNode {
            id: self.process.id(),
            hostname: self.process.hostname(),
            addresses: self.addresses.lock().clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            last_seen: self.clock.now(),
            alive: true,
            applied,
            lag: lag(&status),
        }
    }
}

/// How many versions the proxy is behind the newest that this node knows.
pub fn lag(status: &Status) -> u64 {
    let newest = status.newest.unwrap_or_default();
    newest
        .0
        .saturating_sub(status.applied.unwrap_or_default().0)
}

#[async_trait]
impl Cluster for Membership {
    fn standing(&self) -> Standing {
        let status = self.cluster.status();
        Standing {
            applied: status.applied,
            newest: status.newest,
            behind_since: status.behind_since,
            database: match status.contact {
                Contact::Up => Database::Reachable,
                Contact::Never => Database::Away {
                    since: self.cluster.answered_at(),
                    reason: "the database has not answered yet".to_owned(),
                },
                Contact::Down { since, reason } => Database::Away { since, reason },
            },
            held: status.held,
        }
    }

    async fn nodes(&self) -> Result<Listing, store::Error> {
        let is_up = matches!(self.cluster.status().contact, Contact::Up);
        let rows = match is_up {
            true => self.cluster.nodes().await,
            false => Err(store::Error::Unavailable(String::new())),
        };
        let (rows, stale_since) = match rows {
            Ok(rows) => (rows, None),
            Err(error) if error.is_outage() => match self.cluster.roster() {
                Some(roster) => (roster.rows, Some(roster.read_at)),
                None => (Vec::new(), Some(self.started_at)),
            },
            Err(error) => return Err(error),
        };
        // What this node reported last is older than what it knows.
        let own = self.own();
        let mut nodes: Vec<_> = rows
            .into_iter()
            .map(|row| match row.peer.id == own.id {
                true => own.clone(),
                false => ClusterNode {
                    alive: row.alive,
                    lag: row.lag,
                    ..of_peer(row.peer)
                },
            })
            .collect();
        if nodes.iter().all(|node| node.id != own.id) {
            nodes.push(own);
        }
        Ok(Listing { nodes, stale_since })
    }

    async fn wait(
        &self,
        version: Version,
        limit: Duration,
    ) -> Result<Vec<ClusterNode>, store::Error> {
        let (reached, laggards) = tokio::join!(
            self.reach(version, limit),
            self.cluster.wait(version, limit)
        );
        let mut laggards: Vec<ClusterNode> = laggards?.into_iter().map(of_peer).collect();
        let own = self.process.id();
        if !reached && laggards.iter().all(|node| node.id != own) {
            laggards.push(self.own());
        }
        Ok(laggards)
    }

    async fn reach(&self, version: Version, limit: Duration) -> bool {
        wait_until_applied(&self.cluster.applied(), version, limit).await
    }

    async fn tell_log_level(&self, level: Level, timeout: Duration) {
        let text = log_level::text(level, timeout);
        if let Err(error) = self.words.tell(log_level::CHANNEL, text).await {
            tracing::warn!("the other nodes hear of the log level later: {error}");
        }
    }

    fn accept_database(&self) {
        self.cluster.accept_database();
    }
}

/// A node that has reported, as if it were alive and without lag.
fn of_peer(peer: Peer) -> ClusterNode {
    ClusterNode {
        id: peer.id,
        hostname: peer.hostname,
        addresses: peer.addresses,
        program: peer.program,
        started_at: peer.started_at,
        last_seen: peer.last_seen,
        alive: true,
        applied: peer.applied,
        lag: 0,
    }
}
