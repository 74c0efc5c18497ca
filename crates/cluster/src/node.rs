//! The parts together: what a node starts, asks and stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stdx::Clock;
use store::{Catalog, Peer, Replica, Store, Version};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::failover::{FailoverStore, LocalStore};
use crate::follower::{Follower, Signals, Tools};
use crate::link::Link;
use crate::members::{Member, Members, NodeRow, Roster};
use crate::status::{Contact, Status};
use crate::timing::Timing;
use crate::{Error, Publish, Words};

/// What a node takes part with.
pub struct Parts {
    /// The store that all nodes share, or the one that this process has for itself.
    pub store: Arc<dyn Store>,
    /// The copy to start from and to answer from while the store is out of reach; for shared stores.
    pub replica: Option<Arc<dyn Replica>>,
    pub catalog: Catalog,
    pub publish: Arc<dyn Publish>,
    pub clock: Arc<dyn Clock>,
    pub timing: Timing,
    /// What this node tells the others and hears from them; for a shared store.
    pub words: Arc<Words>,
}

/// What a node serves when it has started.
#[derive(Debug, Clone)]
pub enum First {
    /// What the store has.
    Shared,
    /// What the replica has, because the store does not answer, or is not believed.
    Replica,
    /// Nothing, and why; the node goes on trying.
    Nothing(Error),
}

/// This node's part in the cluster. Dropping it ends its tasks.
pub struct Cluster {
    store: Arc<dyn Store>,
    /// With the replica behind it.
    readable: Arc<dyn Store>,
    /// With the replica before it.
    local: Arc<dyn Store>,
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    roster: Arc<Mutex<Option<Roster>>>,
    timing: Timing,
    first: First,
    status: watch::Receiver<Status>,
    applied: watch::Receiver<Version>,
    accept: Arc<AtomicBool>,
    follower: JoinHandle<()>,
    carrier: JoinHandle<()>,
    membership: Mutex<Option<Membership>>,
}

struct Membership {
    id: Uuid,
    task: JoinHandle<()>,
}

impl Cluster {
    /// Begins to follow the store, and returns when there is something to serve: what the store has, or, if that takes
    /// longer than the patience of [`Timing`] or fails, what the replica has.
    ///
    /// Without either, it returns when the patience is over and the store has failed.
    pub async fn start(parts: Parts) -> Self {
        let Parts {
            store,
            replica,
            catalog,
            publish,
            clock,
            timing,
            words,
        } = parts;
        let link = Arc::new(Link::new(Arc::clone(&clock)));
        let (readable, local): (Arc<dyn Store>, Arc<dyn Store>) = match &replica {
            Some(replica) => {
                let (copy, link) = (|| Arc::clone(replica), || Arc::clone(&link));
                let failover = FailoverStore::new(Arc::clone(&store), copy(), link(), timing.read);
                let failover: Arc<dyn Store> = Arc::new(failover);
                let local = LocalStore::new(Arc::clone(&failover), copy(), link());
                (failover, Arc::new(local))
            }
            None => (Arc::clone(&store), Arc::clone(&store)),
        };
        let (announce_status, mut status) = watch::channel(Status::default());
        let (announce_trouble, trouble) = watch::channel(None);
        let (announce_applied, applied) = watch::channel(Version::default());
        let accept = Arc::new(AtomicBool::new(false));
        let carrier = {
            let (store, link) = (Arc::clone(&store), Arc::clone(&link));
            tokio::spawn(async move { words.carry(store, link).await })
        };
        let tools = Tools {
            store: Arc::clone(&store),
            replica,
            catalog,
            publish,
            clock: Arc::clone(&clock),
            link: Arc::clone(&link),
        };
        let signals = Signals {
            status: announce_status,
            trouble: announce_trouble,
            applied: announce_applied,
            accept: Arc::clone(&accept),
        };
        let follower = tokio::spawn(Follower::new(tools, signals, timing).run());
        let first = first(&mut status, &trouble, timing.patience).await;
        Self {
            store,
            readable,
            local,
            link,
            clock,
            roster: Arc::default(),
            timing,
            first,
            status,
            applied,
            accept,
            follower,
            carrier,
            membership: Mutex::new(None),
        }
    }

    /// What the node served when it had started.
    pub fn first(&self) -> &First {
        &self.first
    }

    /// The store to read from and write to: with a replica, reads go on while the shared one is out of reach (see
    /// [`observe_staleness`](crate::observe_staleness)).
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.readable)
    }

    /// The store for looking up what belongs to the configuration that is served, such as credentials: what is read there
    /// is never older than that, and costs the shared store nothing as long as there is a replica.
    pub fn local(&self) -> Arc<dyn Store> {
        Arc::clone(&self.local)
    }

    /// The version that the data plane serves; zero before anything is published.
    pub fn applied(&self) -> watch::Receiver<Version> {
        self.applied.clone()
    }

    /// Where this node stands.
    pub fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        status.contact = self.link.contact();
        status
    }

    /// Whether the shared store is known to be out of reach: what is not in the copy may be there all the same.
    pub fn is_down(&self) -> bool {
        self.link.is_down()
    }

    /// When the store answered last; before it ever did, when this node started.
    pub fn answered_at(&self) -> SystemTime {
        self.link.answered_at()
    }

    /// Reports this node to the others from now on; without effect for a store that has no register.
    /// A second call reports what it says instead.
    pub fn join(&self, member: Member) {
        if self.store.peers().is_none() {
            return;
        }
        let id = member.id;
        let task = tokio::spawn(self.members().report(member));
        if let Some(before) = self.membership.lock().replace(Membership { id, task }) {
            before.task.abort();
        }
    }

    /// Every node that has reported; none for a store without a register.
    ///
    /// # Errors
    /// Those of the shared store.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, store::Error> {
        self.members().list().await
    }

    /// What the register said when it was read last, by this node for whatever reason; it is read from time to time.
    pub fn roster(&self) -> Option<Roster> {
        self.roster.lock().clone()
    }

    /// Waits until all live nodes have applied a version, for at most `limit`; answers with those that have not.
    ///
    /// # Errors
    /// Those of the shared store.
    pub async fn wait(&self, version: Version, limit: Duration) -> Result<Vec<Peer>, store::Error> {
        let own = self.membership.lock().as_ref().map(|own| own.id);
        self.members().wait(own, version, limit).await
    }

    /// The operator vouches for a database that is not believed (see [`Status::held`]): it is followed as it is.
    pub fn accept_database(&self) {
        self.accept.store(true, Ordering::Relaxed);
        self.link.prod();
    }

    /// Takes this node out of the register and ends its tasks.
    pub async fn stop(&self) {
        self.follower.abort();
        self.carrier.abort();
        let membership = self.membership.lock().take();
        if let Some(Membership { id, task }) = membership {
            task.abort();
            // A report under way would put the row back.
            let _ = task.await;
            if let Some(peers) = self.store.peers()
                && self.link.contact() == Contact::Up
                && let Err(error) = peers.forget(id).await
            {
                tracing::debug!("this node stays in the register: {error}");
            }
        }
    }

    fn members(&self) -> Members {
        Members {
            clock: Arc::clone(&self.clock),
            roster: Arc::clone(&self.roster),
            store: Arc::clone(&self.store),
            link: Arc::clone(&self.link),
            applied: self.applied.clone(),
            timing: self.timing,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.follower.abort();
        self.carrier.abort();
        if let Some(membership) = self.membership.lock().take() {
            membership.task.abort();
        }
    }
}

/// Waits for the first configuration.
async fn first(
    status: &mut watch::Receiver<Status>,
    trouble: &watch::Receiver<Option<Error>>,
    patience: Duration,
) -> First {
    let ends = Instant::now() + patience;
    loop {
        let is_patient = Instant::now() < ends;
        {
            let known = status.borrow_and_update();
            let trouble = trouble.borrow();
            let is_up = known.contact == Contact::Up;
            match (known.applied, &*trouble) {
                (Some(applied), _) if is_up && known.newest == Some(applied) => {
                    return First::Shared;
                }
                (Some(_), Some(_)) => return First::Replica,
                (Some(_), None) if !is_patient || known.held.is_some() => return First::Replica,
                (None, Some(error)) if !is_patient => return First::Nothing(error.clone()),
                _ => {}
            }
        }
        let look_again = match is_patient {
            true => ends,
            // Something is under way that is worth waiting for; a failure changes the status.
            false => Instant::now() + patience,
        };
        // A change, or the end of patience.
        if let Ok(Err(_)) = tokio::time::timeout_at(look_again, status.changed()).await {
            let reason = "the follower has ended".to_owned();
            return First::Nothing(Error::Publish(reason));
        }
    }
}

#[cfg(test)]
mod tests;
