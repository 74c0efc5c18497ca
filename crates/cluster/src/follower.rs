//! Carries out what the [`Machine`] decides.

mod compare;
mod copy;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use stdx::{Clock, SeededRandom};
use store::replica::{Place, Rebuild};
use store::{Catalog, Change, Digests, Replica, Store, Version};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::link::Link;
use crate::machine::{Begin, Command, Fault, Machine, Outcome, Reach, Source};
use crate::status::Status;
use crate::timing::Timing;
use crate::{Error, Publish};

/// Records that are read in one go.
const BATCH: usize = 500;

/// What a follower works with.
pub(crate) struct Tools {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) replica: Option<Arc<dyn Replica>>,
    pub(crate) catalog: Catalog,
    pub(crate) publish: Arc<dyn Publish>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) link: Arc<Link>,
}

/// What others see of a follower.
pub(crate) struct Signals {
    pub(crate) status: watch::Sender<Status>,
    /// The last fault, for a start that fails.
    pub(crate) trouble: watch::Sender<Option<Error>>,
    /// The version that is published; zero before the first.
    pub(crate) applied: watch::Sender<Version>,
    /// Set when the operator vouches for the database.
    pub(crate) accept: Arc<AtomicBool>,
}

/// The task that keeps a node like the shared store.
pub(crate) struct Follower {
    tools: Tools,
    signals: Signals,
    machine: Machine,
    origin: Instant,
    behind_since: Option<SystemTime>,
    /// What was fetched last.
    fetched: Arc<Vec<Change>>,
    /// The content that was copied and is not adopted yet.
    copy: Option<Box<dyn Rebuild>>,
    digests: Digests,
}

impl Follower {
    pub(crate) fn new(tools: Tools, signals: Signals, timing: Timing) -> Self {
        let replica = tools.replica.as_deref();
        let held = replica.and_then(Replica::place);
        let begin = Begin {
            has_replica: replica.is_some(),
            replica: held.map(|place| (place.version, place.mark)),
            is_partial: held.is_some() && !replica.is_some_and(Replica::is_whole),
            is_moved: replica.is_some_and(Replica::is_moved),
        };
        let seed = SeededRandom::from_entropy().next_u64();
        Self {
            tools,
            signals,
            machine: Machine::new(begin, timing, seed),
            origin: Instant::now(),
            behind_since: None,
            fetched: Arc::default(),
            copy: None,
            digests: Digests::new(),
        }
    }

    /// Follows until the task is aborted.
    pub(crate) async fn run(mut self) {
        let mut outcome = Outcome::Done;
        loop {
            if self.signals.accept.swap(false, Ordering::Relaxed) {
                self.machine.accept();
            }
            let command = self.machine.step(self.origin.elapsed(), outcome);
            self.tell();
            outcome = self.perform(command).await;
        }
    }

    async fn perform(&mut self, command: Command) -> Outcome {
        match command {
            Command::Wait { limit, word_of } => {
                self.wait(limit, word_of).await;
                Outcome::Done
            }
            Command::ReadMark { at } => {
                Outcome::Mark(self.tools.store.mark(at).await.map_err(shared))
            }
            Command::ReadChanges { since } => {
                Outcome::Changes(self.tools.store.changes(since).await.map_err(shared))
            }
            Command::Fetch { wanted } => Outcome::Fetched(self.fetch(&wanted).await),
            Command::Publish { until } => {
                let changes = std::mem::take(&mut self.fetched);
                let published = self.tools.publish.apply(changes, until).await;
                Outcome::Published(published.map_err(|error| publish(error, shared)))
            }
            Command::Apply { until } => Outcome::Applied(self.apply(until).await),
            Command::Copy => Outcome::Copied(self.copy().await),
            Command::Adopt { version } => Outcome::Adopted(self.adopt(version).await),
            Command::Discard => {
                self.copy = None;
                Outcome::Done
            }
            Command::PublishAll { from, at_least } => {
                Outcome::PublishedAll(self.publish_all(from, at_least).await)
            }
            Command::ReadDigests => Outcome::Digests(self.read_digests().await),
            Command::Weigh { except } => Outcome::Weighed(self.weigh(&except).await),
            Command::Differ { entities } => Outcome::Differs(self.differ(&entities).await),
        }
    }

    async fn wait(&self, limit: Duration, word_of: Option<Version>) {
        let word = async {
            match word_of {
                Some(version) => self.tools.store.changed(version).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            () = word => {}
            () = self.tools.link.prodded() => {}
        }
    }

    /// Reads records in the order in which they were wanted; those that are of use to nobody are left out.
    async fn fetch(&mut self, wanted: &[(String, Uuid)]) -> Result<(), Fault> {
        let is_useful =
            |entity: &str| self.tools.replica.is_some() || self.tools.publish.wants(entity);
        let mut changes: Vec<Change> = Vec::with_capacity(wanted.len());
        let mut ids: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for (entity, id) in wanted {
            if let Some(schema) = self.tools.catalog.get(entity).filter(|_| is_useful(entity)) {
                let record = None;
                changes.push(Change {
                    schema,
                    id: *id,
                    record,
                });
                ids.entry(schema.name).or_default().push(*id);
            }
        }
        let mut found = HashMap::with_capacity(changes.len());
        let entities: HashSet<&str> = changes.iter().map(|change| change.schema.name).collect();
        for entity in entities {
            let Some(schema) = self.tools.catalog.get(entity) else {
                continue;
            };
            for batch in ids
                .get(entity)
                .into_iter()
                .flat_map(|ids| ids.chunks(BATCH))
            {
                let records = self.tools.store.get_many(schema, batch).await;
                for record in records.map_err(shared)? {
                    let id = id_of(&record)
                        .ok_or_else(|| Fault::Shared(format!("a record of {entity} has no id")))?;
                    found.insert((schema.name, id), record);
                }
            }
        }
        for change in &mut changes {
            change.record = found.remove(&(change.schema.name, change.id));
        }
        self.fetched = Arc::new(changes);
        Ok(())
    }

    async fn apply(&self, until: Version) -> Result<(), Fault> {
        let changes = Arc::clone(&self.fetched);
        let Some(replica) = &self.tools.replica else {
            return Ok(());
        };
        let place = self.place(until).await;
        replica.apply(&changes, place).await.map_err(local)
    }

    /// A version with its mark; without one, if the store cannot tell it now: a mark is one of two ways to notice another
    /// history, and comparing digests is the other.
    async fn place(&self, version: Version) -> Place {
        let mark = self.tools.store.mark(version).await;
        let mark = mark.unwrap_or_else(|error| {
            tracing::debug!("no mark for version {}: {error}", version.0);
            None
        });
        Place { version, mark }
    }

    async fn publish_all(&self, from: Source, at_least: Version) -> Result<Version, Fault> {
        match (from, &self.tools.replica) {
            (Source::Replica, Some(replica)) => {
                let source: &dyn Store = &**replica;
                let loaded = self.tools.publish.load(source, at_least).await;
                loaded.map_err(|error| publish(error, local))
            }
            _ => {
                let loaded = self.tools.publish.load(&*self.tools.store, at_least).await;
                loaded.map_err(|error| publish(error, shared))
            }
        }
    }

    /// Lets everybody know where this node is.
    fn tell(&mut self) {
        match self.machine.reach() {
            Reach::Unknown => {}
            Reach::Answers => self.tools.link.answered(),
            Reach::Fails(reason) => self.tools.link.failed(reason),
        }
        self.tools.link.set_copy_current(self.machine.is_current());
        let (applied, newest) = (self.machine.published(), self.machine.newest());
        self.behind_since = match applied < newest {
            true => self.behind_since.or_else(|| Some(self.tools.clock.now())),
            false => None,
        };
        let status = Status {
            applied,
            replica: self.machine.replica(),
            newest,
            behind_since: self.behind_since,
            contact: self.tools.link.contact(),
            held: self.machine.doubt().map(|doubt| doubt.loss.to_string()),
            counters: self.machine.counters(),
        };
        self.signals.trouble.send_if_modified(|known| {
            let trouble = self.machine.trouble().map(Error::from);
            let is_new = known.is_some() != trouble.is_some();
            *known = trouble;
            is_new
        });
        self.signals.applied.send_if_modified(|known| {
            let version = applied.unwrap_or_default();
            std::mem::replace(known, version) != version
        });
        self.signals.status.send_if_modified(|known| {
            let is_new = *known != status;
            *known = status;
            is_new
        });
    }
}

impl From<&Fault> for Error {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Shared(reason) | Fault::Busy(reason) | Fault::Replica(reason) => {
                Self::Store(store::Error::Unavailable(reason.clone()))
            }
            Fault::Publish(reason) => Self::Publish(reason.clone()),
        }
    }
}

fn id_of(record: &schema::Record) -> Option<Uuid> {
    Uuid::parse_str(record.get("id")?.as_str()?).ok()
}

/// An error of the shared store.
fn shared(error: store::Error) -> Fault {
    match error {
        store::Error::Conflict => Fault::Busy(error.to_string()),
        store::Error::Unavailable(reason) => Fault::Shared(reason),
        other => Fault::Shared(other.to_string()),
    }
}

/// An error of the replica.
fn local(error: store::Error) -> Fault {
    Fault::Replica(error.to_string())
}

/// An error of the data plane, or of the store that it read from.
fn publish(error: Error, of_store: fn(store::Error) -> Fault) -> Fault {
    match error {
        Error::Store(error) => of_store(error),
        Error::Publish(reason) => Fault::Publish(reason),
    }
}
