//! The series of a node: what is counted, under which labels.
//!
//! Every worker counts for itself, and a reader of the page adds up. A worker finds what it counts with by the ids of
//! route, service and consumer; names are looked at only to notice that one has changed. What there are too many
//! combinations of is counted under [`OVERFLOW`], so that neither memory nor the page grow with what clients do.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use uuid::Uuid;

use super::count::{Count, Histogram};
use super::families::{GATEWAY_BOUNDS, UPSTREAM_BOUNDS};

/// The value of labels that stands for all that there was no room for.
pub const OVERFLOW: &str = "(overflow)";

/// How many bytes the series of a node may hold.
pub const LIMIT: usize = 32 << 20;

/// What an entry costs besides its strings: the numbers, the table's slots, the allocator's share.
const SET_COST: usize = 320;
const STATUS_COST: usize = 96;
const TIMES_COST: usize = 640;

/// The most combinations that a worker finds at once; it looks up the others anew.
const MOST_KNOWN: usize = 100_000;

/// All series of a node.
#[derive(Debug)]
pub struct Series {
    /// Tells the series of several nodes in one process apart.
    number: u64,
    limit: usize,
    shards: Mutex<Vec<Arc<Shard>>>,
    admitted: Mutex<Admitted>,
    /// How often labels found no room.
    overflows: AtomicU64,
}

/// What has got room so far, by whichever worker asked first.
#[derive(Debug, Default)]
struct Admitted {
    sets: HashSet<Arc<Labels>, RandomState>,
    routes: HashSet<Arc<OfRoute>, RandomState>,
    statuses: HashSet<(Arc<Labels>, Status), RandomState>,
    bytes: usize,
    /// The part of `bytes` that is there for consumers only.
    consumer_bytes: usize,
}

/// The labels of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfRoute {
    pub service: Box<str>,
    pub route: Box<str>,
    pub workspace: Box<str>,
}

/// The labels of a request, but for its status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels {
    pub of_route: Arc<OfRoute>,
    /// Empty if consumers are not told apart.
    pub consumer: Box<str>,
}

/// A status, and who it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status {
    /// 0 stands for those that there was no room for.
    pub code: u16,
    pub of_service: bool,
}

/// What one worker counted.
#[derive(Debug, Default)]
pub struct Shard {
    pub sets: Mutex<HashMap<Arc<Labels>, Arc<Set>, RandomState>>,
    pub times: Mutex<HashMap<Arc<OfRoute>, Arc<Times>, RandomState>>,
}

/// What is counted under some labels.
#[derive(Debug, Default)]
pub struct Set {
    pub ingress: Count,
    pub egress: Count,
    pub statuses: Mutex<BTreeMap<Status, Arc<Count>>>,
}

/// The times of a route.
#[derive(Debug)]
pub struct Times {
    pub gateway: Histogram,
    pub upstream: Histogram,
    pub request: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            gateway: Histogram::new(&GATEWAY_BOUNDS),
            upstream: Histogram::new(&UPSTREAM_BOUNDS),
            request: Histogram::new(&UPSTREAM_BOUNDS),
        }
    }
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub route: (Uuid, &'a str),
    /// The id of the service, and its label.
    pub service: Option<(Uuid, &'a str)>,
    /// If consumers are told apart.
    pub consumer: Option<(Uuid, &'a str)>,
    pub workspace: &'a str,
}

/// What a worker counts the requests of a subject with.
#[derive(Debug)]
pub struct Counting {
    labels: Arc<Labels>,
    /// As the subject had them: what is counted may be under other labels.
    route: Box<str>,
    service: Box<str>,
    consumer: Box<str>,
    pub set: Arc<Set>,
    pub times: Arc<Times>,
    statuses: RefCell<Vec<(Status, Arc<Count>)>>,
}

type Key = (Uuid, Uuid, Uuid);

/// A worker's own part.
struct Local {
    shard: Arc<Shard>,
    known: HashMap<Key, Rc<Counting>, RandomState>,
}

thread_local! {
    /// By the number of the series; a process has one, tests have several.
    static LOCAL: RefCell<Vec<(u64, Local)>> = const { RefCell::new(Vec::new()) };
}

impl Series {
    /// Without any; they may hold about as many bytes as `limit` says.
    pub fn new(limit: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            limit,
            shards: Mutex::default(),
            admitted: Mutex::default(),
            overflows: AtomicU64::new(0),
        }
    }

    /// What the calling worker counts this subject's requests with.
    ///
    /// Perf: a look into a table of the thread's own and three comparisons of names.
    pub fn counting(&self, subject: &Subject<'_>) -> Rc<Counting> {
        LOCAL.with_borrow_mut(|all| {
            let at = all.iter().position(|(number, _)| *number == self.number);
            let at = at.unwrap_or_else(|| {
                all.push((self.number, self.join()));
                all.len() - 1
            });
            let local = &mut all[at].1;
            let key = subject.key();
            let known = local.known.get(&key);
            if let Some(known) = known.filter(|known| known.is_of(subject)) {
                return known.clone();
            }
            let counting = Rc::new(self.open(&local.shard, subject));
            if local.known.len() >= MOST_KNOWN {
                local.known.clear();
            }
            local.known.insert(key, counting.clone());
            counting
        })
    }

    /// Counts an answer.
    pub fn answered(&self, counting: &Counting, status: Status) {
        let mut known = counting.statuses.borrow_mut();
        if let Some((_, count)) = known.iter().find(|(its, _)| *its == status) {
            count.add(1);
            return;
        }
        let own = self.admit_status(&counting.labels, status);
        let count = counting.set.statuses.lock().entry(own).or_default().clone();
        count.add(1);
        known.push((status, count));
    }

    /// What all workers have counted so far.
    pub fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().clone()
    }

    /// How many combinations there are, the bytes that they hold, and the bytes that they may hold.
    pub fn size(&self) -> (usize, usize, usize) {
        let admitted = self.admitted.lock();
        let count = admitted.sets.len() + admitted.routes.len() + admitted.statuses.len();
        (count, admitted.bytes, self.limit)
    }

    /// How often labels found no room.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    fn join(&self) -> Local {
        let shard = Arc::new(Shard::default());
        self.shards.lock().push(shard.clone());
        Local {
            shard,
            known: HashMap::default(),
        }
    }

    fn open(&self, shard: &Shard, subject: &Subject<'_>) -> Counting {
        let labels = Arc::new(self.admit(subject));
        let set = shard.sets.lock().entry(labels.clone()).or_default().clone();
        let times = shard
            .times
            .lock()
            .entry(labels.of_route.clone())
            .or_default()
            .clone();
        Counting {
            route: subject.route.1.into(),
            service: subject.service.map_or("", |(_, name)| name).into(),
            consumer: subject.consumer.map_or("", |(_, name)| name).into(),
            labels,
            set,
            times,
            statuses: RefCell::default(),
        }
    }

    /// The labels that a subject is counted under: its own, if there is room for them.
    fn admit(&self, subject: &Subject<'_>) -> Labels {
        let workers = self.shards.lock().len().max(1);
        let mut admitted = self.admitted.lock();
        let of_route = Arc::new(OfRoute {
            service: subject.service.map_or("", |(_, name)| name).into(),
            route: subject.route.1.into(),
            workspace: subject.workspace.into(),
        });
        let names = of_route.service.len() + of_route.route.len() + of_route.workspace.len();
        if !admitted.routes.contains(&of_route) {
            let cost = (TIMES_COST + SET_COST + names) * workers;
            if admitted.bytes + cost > self.limit {
                self.overflows.fetch_add(1, Ordering::Relaxed);
                return Labels::overflow(subject.workspace);
            }
            admitted.bytes += cost;
            admitted.routes.insert(of_route.clone());
        }
        let mut labels = Labels {
            of_route,
            consumer: subject.consumer.map_or("", |(_, name)| name).into(),
        };
        if !labels.consumer.is_empty() && !admitted.sets.contains(&labels) {
            let cost = (SET_COST + labels.consumer.len()) * workers;
            // Consumers are many; they leave room for routes.
            if admitted.consumer_bytes + cost > self.limit / 2 || admitted.bytes + cost > self.limit
            {
                self.overflows.fetch_add(1, Ordering::Relaxed);
                labels.consumer = OVERFLOW.into();
            } else {
                admitted.bytes += cost;
                admitted.consumer_bytes += cost;
            }
        }
        admitted.sets.insert(Arc::new(labels.clone()));
        labels
    }

    /// The status that an answer is counted under: its own, if there is room for it.
    fn admit_status(&self, labels: &Arc<Labels>, status: Status) -> Status {
        let workers = self.shards.lock().len().max(1);
        let mut admitted = self.admitted.lock();
        let key = (labels.clone(), status);
        if admitted.statuses.contains(&key) {
            return status;
        }
        let cost = STATUS_COST * workers;
        if admitted.bytes + cost > self.limit {
            self.overflows.fetch_add(1, Ordering::Relaxed);
            return Status { code: 0, ..status };
        }
        admitted.bytes += cost;
        admitted.statuses.insert(key);
        status
    }
}

impl Labels {
    fn overflow(workspace: &str) -> Self {
        Self {
            of_route: Arc::new(OfRoute {
                service: OVERFLOW.into(),
                route: OVERFLOW.into(),
                workspace: workspace.into(),
            }),
            consumer: "".into(),
        }
    }
}

impl Subject<'_> {
    fn key(&self) -> Key {
        let id = |of: Option<(Uuid, &str)>| of.map_or(Uuid::nil(), |(id, _)| id);
        (self.route.0, id(self.service), id(self.consumer))
    }
}

impl Counting {
    /// Whether the names are still those of the subject.
    fn is_of(&self, subject: &Subject<'_>) -> bool {
        let is = |own: &str, of: Option<(Uuid, &str)>| *own == *of.map_or("", |(_, name)| name);
        *self.route == *subject.route.1
            && is(&self.service, subject.service)
            && is(&self.consumer, subject.consumer)
    }
}
