//! The nodes of the cluster: reporting this one, listing and waiting for the others.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stdx::{Clock, SeededRandom};
use store::{Error, Peer, Peers, Store, Version};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::link::Link;
use crate::status::Contact;
use crate::timing::Timing;

/// How often somebody who waits looks at the register, should a report get lost.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Rows that one node removes at a time.
const FORGOTTEN_AT_ONCE: usize = 16;

/// What a node says about itself, once.
#[derive(Debug, Clone)]
pub struct Member {
    /// The node's own id, kept over restarts.
    pub id: Uuid,
    /// The machine's name.
    pub hostname: String,
    /// Where it can be reached, as URLs: proxy, then Admin API, then Status API.
    pub addresses: Vec<String>,
    /// The version of the program.
    pub program: String,
    pub started_at: SystemTime,
}

/// A node as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    pub peer: Peer,
    /// Whether it has reported lately.
    pub alive: bool,
    /// How many changes its data plane is behind the newest version.
    pub lag: u64,
}

/// What the register said when it could be read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub rows: Vec<NodeRow>,
    /// When that was.
    pub read_at: SystemTime,
}

/// The register, and what this node waits for and answers with.
pub(crate) struct Members {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) roster: Arc<Mutex<Option<Roster>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) link: Arc<Link>,
    pub(crate) applied: watch::Receiver<Version>,
    pub(crate) timing: Timing,
}

impl Members {
    /// Reports until the task is aborted: from time to time, and loudly when somebody calls the roll.
    pub(crate) async fn report(self, own: Member) {
        let Some(peers) = self.store.peers() else {
            return;
        };
        let mut random = SeededRandom::from_entropy();
        let mut called = Version::default();
        let mut heartbeat = Instant::now();
        loop {
            let is_called = tokio::select! {
                () = tokio::time::sleep_until(heartbeat) => false,
                version = self.roll_call(peers, called) => {
                    called = version;
                    true
                }
            };
            let reported = peers.report(&self.row(&own), is_called).await;
            self.judge(reported);
            if !is_called {
                heartbeat = Instant::now() + spread(&mut random, self.timing.heartbeat);
                // Now and then, so that many nodes do not read many rows all the time.
                if self.roster.lock().is_none() || random.below(16) == 0 {
                    self.read_roster(peers, random.below(4) == 0).await;
                }
            }
        }
    }

    /// Resolves when this node has applied a version that somebody waits for.
    async fn roll_call(&self, peers: &dyn Peers, beyond: Version) -> Version {
        let version = peers.roll_called(beyond).await;
        let mut applied = self.applied.clone();
        if applied
            .wait_for(|applied| *applied >= version)
            .await
            .is_err()
        {
            // The follower is gone, so nothing will be applied any more.
            std::future::pending::<()>().await;
        }
        version
    }

    fn row(&self, own: &Member) -> Peer {
        Peer {
            id: own.id,
            hostname: own.hostname.clone(),
            addresses: own.addresses.clone(),
            program: own.program.clone(),
            started_at: own.started_at,
            // The database has the time that counts.
            last_seen: own.started_at,
            applied: *self.applied.borrow(),
        }
    }

    /// A report that fails, or succeeds again, is the first to know that the database went or came.
    fn judge(&self, reported: Result<(), Error>) {
        let is_up = self.link.contact() == Contact::Up;
        if let Err(error) = &reported {
            tracing::debug!("this node could not be reported: {error}");
        }
        if reported.is_ok() != is_up {
            self.link.prod();
        }
    }

    /// Reads who is there, for when nobody can be asked, and removes the rows of the dead if it is told to.
    async fn read_roster(&self, peers: &dyn Peers, forgets: bool) {
        let Ok((rows, now)) = self.rows(peers).await else {
            return;
        };
        if forgets {
            let rows = rows.into_iter().map(|row| row.peer).collect();
            self.forget_the_dead(peers, rows, now).await;
        }
    }

    async fn forget_the_dead(&self, peers: &dyn Peers, rows: Vec<Peer>, now: SystemTime) {
        let is_old = |peer: &&Peer| age(peer, now) > self.timing.forget;
        for peer in rows.iter().filter(is_old).take(FORGOTTEN_AT_ONCE) {
            if let Err(error) = peers.forget(peer.id).await {
                tracing::debug!("the row of a dead node stays: {error}");
                return;
            }
        }
    }

    /// Every node of the register.
    pub(crate) async fn list(&self) -> Result<Vec<NodeRow>, Error> {
        let Some(peers) = self.store.peers() else {
            return Ok(Vec::new());
        };
        Ok(self.rows(peers).await?.0)
    }

    /// Every node, remembered for later, and the database's time.
    async fn rows(&self, peers: &dyn Peers) -> Result<(Vec<NodeRow>, SystemTime), Error> {
        let newest = self.store.version().await?;
        let (rows, now) = peers.list().await?;
        let row = |peer: Peer| NodeRow {
            alive: self.is_alive(&peer, now),
            lag: newest.0.saturating_sub(peer.applied.0),
            peer,
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        *self.roster.lock() = Some(Roster {
            rows: rows.clone(),
            read_at: self.clock.now(),
        });
        Ok((rows, now))
    }

    /// Whether a node has reported lately, or could not because nobody could.
    fn is_alive(&self, peer: &Peer, now: SystemTime) -> bool {
        let alive = self.timing.alive;
        age(peer, now) <= alive + self.link.leniency(alive)
    }

    /// Waits until every live node has applied a version; answers with those that have not when the time is over.
    pub(crate) async fn wait(
        &self,
        own: Option<Uuid>,
        version: Version,
        limit: Duration,
    ) -> Result<Vec<Peer>, Error> {
        let ends = Instant::now() + limit;
        let Some(peers) = self.store.peers() else {
            return Ok(Vec::new());
        };
        peers.call_roll(version).await?;
        loop {
            let reported = peers.reported();
            let (rows, now) = peers.list().await?;
            let has_applied = |peer: &Peer| match Some(peer.id) == own {
                true => *self.applied.borrow() >= version,
                false => peer.applied >= version,
            };
            let behind = |peer: &Peer| self.is_alive(peer, now) && !has_applied(peer);
            let laggards: Vec<_> = rows.into_iter().filter(|peer| behind(peer)).collect();
            if laggards.is_empty() || Instant::now() >= ends {
                return Ok(laggards);
            }
            let look_again = ends.min(Instant::now() + LOOK_AGAIN);
            // A report, or time to look whether one got lost.
            let _ = tokio::time::timeout_at(look_again, reported).await;
        }
    }
}

/// How long ago a node reported.
fn age(peer: &Peer, now: SystemTime) -> Duration {
    now.duration_since(peer.last_seen).unwrap_or_default()
}

/// Somewhere around a period, so that nodes that start together drift apart.
fn spread(random: &mut SeededRandom, period: Duration) -> Duration {
    let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    let half = millis / 2;
    Duration::from_millis(half + random.below(millis.max(1)))
}

#[cfg(test)]
mod tests;
