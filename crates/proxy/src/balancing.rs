//! The targets of upstreams on one worker: their names resolved, the state of their algorithms, and what is known of
//! their health.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use balancer::{Address, Balancer, Eligible, Shape};
use health::{AddressHealth, Group, Place, Queue, Tally};
use snapshot::Upstream;
use stdx::SeededRandom;
use uuid::Uuid;

use crate::lease::{Lease, Past};
use crate::local::Local;
use crate::target_names::Names;

/// How many workers there have been.
static WORKERS: AtomicU64 = AtomicU64::new(0);

/// The balancers of one worker.
#[derive(Debug)]
pub(crate) struct Balancers {
    entries: Entries,
    /// How many balancers there have been.
    made: Cell<u64>,
    /// The worker among all that there have been.
    worker: u64,
}

impl Default for Balancers {
    fn default() -> Self {
        Self {
            entries: Entries::default(),
            made: Cell::new(0),
            worker: WORKERS.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// The balancers by their upstreams, and shared with those who have an address out of one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Entries(Rc<RefCell<HashMap<Uuid, Entry>>>);

#[derive(Debug)]
struct Entry {
    upstream: Arc<Upstream>,
    balancer: Balancer,
    /// The number of this balancer among all that there have been.
    number: u64,
    /// When the first of the names has to be resolved again.
    expires: Instant,
    group: Arc<Group>,
    /// In the order of the balancer's addresses.
    health: Vec<Arc<AddressHealth>>,
    /// In the same order, for those that were picked.
    tallies: Vec<Option<Arc<Tally>>>,
    /// How the upstream stands, and the state of the group that this was found in.
    standing: (u64, Standing),
}

/// How an upstream as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Enough weight is healthy.
    Healthy,
    /// Too little is, and nobody is asked.
    Unhealthy,
    /// So little is that probably the checks are wrong: everybody is asked.
    Panic,
}

/// What became of a pick.
pub(crate) enum Pick {
    Taken(Box<Lease>, SocketAddr),
    /// Every address that could serve handles as many requests as it may. So many may wait in the queue.
    Busy(Arc<Queue>, u32),
    /// No address can serve.
    Nobody,
}

struct Choice<'a> {
    tried: Vec<usize>,
    health: &'a [Arc<AddressHealth>],
    /// Requests that an address handles at a time.
    limit: Option<u32>,
    /// Others took the last place there.
    full: Vec<usize>,
    /// How long addresses start slowly, and the part of its share from which one is taken this time.
    slow_start: Option<(Duration, f64)>,
}

impl Eligible for Choice<'_> {
    fn is_tried(&self, address: usize) -> bool {
        self.tried.contains(&address)
    }

    fn has_room(&self, address: usize) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let health = self.health.get(address);
        !self.full.contains(&address) && health.is_none_or(|health| health.has_room(limit))
    }

    fn is_spared(&self, address: usize) -> bool {
        let (Some((time, least)), Some(health)) = (self.slow_start, self.health.get(address))
        else {
            return false;
        };
        health.part(time) < least
    }
}

impl Entries {
    /// Notes that an exchange with an address is over, which had this index in the balancer of this number.
    pub fn release(
        &self,
        upstream: &Upstream,
        (number, index): (u64, usize),
        address: &Address,
        answered_after: Option<Duration>,
        now: Instant,
    ) {
        let mut entries = self.0.borrow_mut();
        let Some(entry) = entries.get_mut(&upstream.id) else {
            return;
        };
        let index = if entry.number == number {
            Some(index)
        } else {
            entry.balancer.index_of(address)
        };
        if let Some(index) = index {
            entry.balancer.release(index, answered_after, now);
        }
    }
}

impl Balancers {
    /// Makes sure that there is a balancer for this state of the upstream, with names that were resolved lately.
    ///
    /// It waits for names only while no address at all is known; they are asked for in the background otherwise.
    pub async fn refresh(&self, worker: &Rc<Local>, upstream: &Arc<Upstream>) {
        let now = worker.clock.monotonic();
        let is_current =
            |entry: &Entry| Arc::ptr_eq(&entry.upstream, upstream) && entry.expires > now;
        if self
            .entries
            .0
            .borrow()
            .get(&upstream.id)
            .is_some_and(is_current)
        {
            return;
        }
        let mut names = Names::of(upstream);
        names.take_known(worker);
        if !names.are_some_known() && !self.has_addresses(upstream) {
            names.wait(worker, upstream).await;
        }
        let is_complete = names.are_all_answered();
        self.put(worker, upstream, names);
        if !is_complete {
            let (worker, upstream) = (worker.clone(), upstream.clone());
            tokio::task::spawn_local(async move {
                let mut names = Names::of(&upstream);
                names.wait(&worker, &upstream).await;
                // The configuration may have gone on meanwhile.
                if worker.balancers.is_about(&upstream) {
                    worker.balancers.put(&worker, &upstream, names);
                }
            });
        }
    }

    fn has_addresses(&self, upstream: &Upstream) -> bool {
        let entries = self.entries.0.borrow();
        let entry = entries.get(&upstream.id);
        entry.is_some_and(|entry| !entry.balancer.addresses().is_empty())
    }

    fn is_about(&self, upstream: &Arc<Upstream>) -> bool {
        let entries = self.entries.0.borrow();
        let entry = entries.get(&upstream.id);
        entry.is_some_and(|entry| Arc::ptr_eq(&entry.upstream, upstream))
    }

    fn put(&self, worker: &Local, upstream: &Arc<Upstream>, names: Names) {
        let now = worker.clock.monotonic();
        let mut entries = self.entries.0.borrow_mut();
        let before = entries.get_mut(&upstream.id);
        let had = before
            .as_ref()
            .map_or(&[][..], |before| before.balancer.addresses());
        let (addresses, expires) = names.finish(had, now);
        if let Some(before) = before
            && before.balancer.addresses() == addresses
            && Arc::ptr_eq(&before.upstream, upstream)
        {
            before.expires = expires;
            return;
        }
        let group = worker
            .shared
            .health
            .group(upstream.id, &upstream.name, &upstream.healthchecks);
        let health = group.health(&addresses);
        let mut random = worker.random.borrow_mut();
        let shape = Shape {
            algorithm: upstream.algorithm,
            slots: upstream.slots,
            targets: upstream.targets.len(),
        };
        let balancer = match entries.get(&upstream.id) {
            Some(before) => before
                .balancer
                .with_addresses(shape, addresses, now, &mut random),
            None => Balancer::new(shape, addresses, now, &mut random),
        };
        self.made.set(self.made.get() + 1);
        let entry = Entry {
            upstream: upstream.clone(),
            balancer,
            number: self.made.get(),
            expires,
            group,
            tallies: vec![None; health.len()],
            health,
            standing: (u64::MAX, Standing::Healthy),
        };
        entries.insert(upstream.id, entry);
    }

    /// An address for a request. The past says what hashing goes by, and what was tried.
    pub fn pick(&self, worker: &Local, upstream: &Arc<Upstream>, past: &mut Past) -> Pick {
        let mut entries = self.entries.0.borrow_mut();
        let Some(entry) = entries.get_mut(&upstream.id) else {
            return Pick::Nobody;
        };
        let places = past
            .tried
            .iter()
            .filter_map(|address| entry.balancer.index_of(address));
        let tried = places.collect();
        if entry.standing() == Standing::Unhealthy {
            return Pick::Nobody;
        }
        let options = &entry.upstream.options;
        let mut choice = Choice {
            tried,
            health: &entry.health,
            limit: options.max_connections,
            full: Vec::new(),
            slow_start: options
                .slow_start
                .map(|time| (time, fraction(&mut worker.random.borrow_mut()))),
        };
        let now = worker.clock.monotonic();
        let key = past.key.as_deref().unwrap_or_default();
        let (index, place) = loop {
            let Some(index) = entry.balancer.pick(key, &choice) else {
                return entry.nobody();
            };
            let (Some(limit), Some(health)) = (choice.limit, entry.health.get(index)) else {
                break (index, None);
            };
            if let Some(place) = Place::take(health, entry.group.queue(), limit) {
                break (index, Some(place));
            }
            // Another worker was faster.
            entry.balancer.release(index, None, now);
            choice.full.push(index);
        };
        entry.lease(self, worker, index, place, past, now)
    }

    /// Forgets upstreams that are gone.
    pub fn retain(&self, exists: impl Fn(Uuid) -> bool) {
        self.entries.0.borrow_mut().retain(|id, _| exists(*id));
    }
}

impl Entry {
    /// How the upstream stands; the balancer knows what that means for each address. Perf: weighed anew only when a
    /// verdict changed.
    fn standing(&mut self) -> Standing {
        if !self.group.is_on() {
            return Standing::Healthy;
        }
        let turns = self.group.turns();
        let (weighed, standing) = self.standing;
        if weighed == turns {
            return standing;
        }
        let is_healthy = |index: usize| {
            let health = self.health.get(index);
            health.is_none_or(|health| health.is_healthy())
        };
        let panics_below = self.upstream.options.panic_threshold.unwrap_or(0.0);
        let threshold = self.group.checks().threshold;
        let standing = match self.balancer.healthy_share(is_healthy) {
            Some(share) if share < panics_below => Standing::Panic,
            Some(share) if share > threshold => Standing::Healthy,
            _ => Standing::Unhealthy,
        };
        self.balancer
            .set_healthy(|index| standing == Standing::Panic || is_healthy(index));
        self.standing = (turns, standing);
        standing
    }

    /// Why there was nobody to pick.
    fn nobody(&self) -> Pick {
        let addresses = self.balancer.addresses().iter().enumerate();
        let usable = addresses
            .filter(|(index, address)| address.weight > 0 && self.balancer.is_healthy(*index))
            .count();
        if usable == 0 {
            return Pick::Nobody;
        }
        let each = self.upstream.options.max_pending;
        let places = each.saturating_mul(u32::try_from(usable).unwrap_or(u32::MAX));
        Pick::Busy(self.group.queue().clone(), places)
    }

    fn lease(
        &mut self,
        balancers: &Balancers,
        worker: &Local,
        index: usize,
        place: Option<Place>,
        past: &mut Past,
        now: Instant,
    ) -> Pick {
        let (Some(address), Some(health), Some(tally)) = (
            self.balancer.addresses().get(index),
            self.health.get(index),
            self.tallies.get_mut(index),
        ) else {
            return Pick::Nobody;
        };
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        let Ok(ip) = bare.parse::<IpAddr>() else {
            return Pick::Nobody;
        };
        let socket = SocketAddr::new(ip, address.port);
        let tally = tally.get_or_insert_with(|| health.tally(balancers.worker));
        let lease = Lease {
            entries: balancers.entries.clone(),
            upstream: self.upstream.clone(),
            address: address.clone(),
            index,
            number: self.number,
            group: self.group.clone(),
            health: health.clone(),
            tally: tally.clone(),
            place,
            open: true,
            past: std::mem::take(past),
            began: now,
            clock: worker.clock.clone(),
        };
        Pick::Taken(Box::new(lease), socket)
    }
}

/// A random number from zero to one.
fn fraction(random: &mut SeededRandom) -> f64 {
    let high = u32::try_from(random.next_u64() >> 32).unwrap_or_default();
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}
