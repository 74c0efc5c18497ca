//! The targets of upstreams on one worker: their names resolved, the state of their algorithms, and what is known of
//! their health.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::{Address, Balancer, Eligible, Shape};
use health::{AddressHealth, Group, Observation, Resolved, TargetName};
use snapshot::Upstream;
use uuid::Uuid;

use crate::error::Error;
use crate::local::Local;

/// How soon names that could not be resolved are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a passive check is called where somebody asks why a target is out.
const TRAFFIC: &str = "traffic";

/// The balancers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Balancers {
    entries: Rc<RefCell<HashMap<Uuid, Entry>>>,
    /// How many balancers there have been.
    made: Cell<u64>,
}

#[derive(Debug)]
struct Entry {
    upstream: Arc<Upstream>,
    balancer: Balancer,
    /// The number of this balancer among all that there have been.
    number: u64,
    /// When the first of the names has to be resolved again.
    expires: Instant,
    /// None without health checks.
    health: Option<EntryHealth>,
}

#[derive(Debug)]
struct EntryHealth {
    group: Arc<Group>,
    /// In the order of the balancer's addresses.
    addresses: Vec<Arc<AddressHealth>>,
    /// Whether enough weight is healthy, and the state of the group that this was found in.
    enough: Cell<(u64, bool)>,
}

/// A pick out of an upstream, to be given back when the exchange is over.
///
/// It names the address and not only its place: the balancer may be replaced while the exchange goes on.
#[derive(Debug)]
pub(crate) struct Lease {
    entries: Rc<RefCell<HashMap<Uuid, Entry>>>,
    upstream: Arc<Upstream>,
    address: Address,
    index: usize,
    /// The balancer in which the address has the index.
    number: u64,
    health: Option<(Arc<Group>, Arc<AddressHealth>)>,
    /// Counts in the balancer until it is given back.
    open: bool,
    tried: Vec<Address>,
    began: Instant,
    clock: Arc<dyn stdx::Clock>,
}

impl Lease {
    /// Where it came from.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Notes that the address did not serve, and whether that was its fault.
    pub fn failed(&mut self, error: &Error) {
        let observation = match error {
            Error::Connect(error) if error.kind == net::ConnectFailure::Local => None,
            _ if error.status() == 504 => Some(Observation::TimedOut),
            Error::Response(_) => Some(Observation::Garbage),
            _ if error.is_upstream_failure() => Some(Observation::ConnectionFailed),
            _ => None,
        };
        if let Some(observation) = observation {
            self.observe(observation);
        }
        self.tried.push(self.address.clone());
        self.release(false);
    }

    /// Notes that the address answered.
    pub fn answered(&self, status: u16) {
        // Compat: a gateway's status 504 is a timeout, whoever gives it.
        self.observe(match status {
            504 => Observation::TimedOut,
            _ => Observation::Status(status),
        });
    }

    fn observe(&self, observation: Observation) {
        let Some((group, health)) = &self.health else {
            return;
        };
        let thresholds = &group.checks().passive;
        if health.observe(observation, thresholds, TRAFFIC) {
            tracing::warn!(
                upstream = %self.upstream.name, target = %self.address.target, port = self.address.port,
                healthy = health.is_healthy(), ?observation, "the health of a target changed"
            );
        }
    }

    fn release(&mut self, answered: bool) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let now = self.clock.monotonic();
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&self.upstream.id) else {
            return;
        };
        let index = if entry.number == self.number {
            Some(self.index)
        } else {
            entry.balancer.index_of(&self.address)
        };
        if let Some(index) = index {
            let time = answered.then(|| now.saturating_duration_since(self.began));
            entry.balancer.release(index, time, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release(true);
    }
}

struct Choice<'a> {
    tried: Vec<usize>,
    health: Option<&'a [Arc<AddressHealth>]>,
}

impl Eligible for Choice<'_> {
    fn is_healthy(&self, address: usize) -> bool {
        let health = self.health.and_then(|health| health.get(address));
        health.is_none_or(|health| health.is_healthy())
    }

    fn is_tried(&self, address: usize) -> bool {
        self.tried.contains(&address)
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
        let entries = self.entries.borrow();
        let entry = entries.get(&upstream.id);
        entry.is_some_and(|entry| !entry.balancer.addresses().is_empty())
    }

    fn is_about(&self, upstream: &Arc<Upstream>) -> bool {
        let entries = self.entries.borrow();
        let entry = entries.get(&upstream.id);
        entry.is_some_and(|entry| Arc::ptr_eq(&entry.upstream, upstream))
    }

    fn put(&self, worker: &Local, upstream: &Arc<Upstream>, names: Names) {
        let now = worker.clock.monotonic();
        let mut entries = self.entries.borrow_mut();
        let (addresses, expires) = names.finish(entries.get(&upstream.id), now);
        let before = entries.get_mut(&upstream.id);
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
        let health = group.is_on().then(|| EntryHealth {
            addresses: group.health(&addresses),
            enough: Cell::new((u64::MAX, true)),
            group,
        });
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
            health,
        };
        entries.insert(upstream.id, entry);
    }

    /// An address for a request, with the name of its target.
    pub fn pick(
        &self,
        worker: &Local,
        upstream: &Arc<Upstream>,
        key: &[u8],
        before: Option<Lease>,
    ) -> Option<(Lease, SocketAddr, Box<str>)> {
        let tried = before
            .map(|mut lease| std::mem::take(&mut lease.tried))
            .unwrap_or_default();
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&upstream.id)?;
        let places = tried
            .iter()
            .filter_map(|address| entry.balancer.index_of(address));
        let choice = Choice {
            tried: places.collect(),
            health: entry.health.as_ref().map(|health| &*health.addresses),
        };
        if let Some(health) = &entry.health
            && !health.has_enough(&entry.balancer, &choice)
        {
            return None;
        }
        let index = entry.balancer.pick(key, &choice)?;
        let address = entry.balancer.addresses().get(index)?.clone();
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        let socket = SocketAddr::new(bare.parse::<IpAddr>().ok()?, address.port);
        let name = (*address.target).into();
        let health = entry.health.as_ref().and_then(|health| {
            let address = health.addresses.get(index)?;
            Some((health.group.clone(), address.clone()))
        });
        let lease = Lease {
            entries: self.entries.clone(),
            upstream: entry.upstream.clone(),
            address,
            index,
            number: entry.number,
            health,
            open: true,
            tried,
            began: worker.clock.monotonic(),
            clock: worker.clock.clone(),
        };
        Some((lease, socket, name))
    }

    /// Forgets upstreams that are gone.
    pub fn retain(&self, exists: impl Fn(Uuid) -> bool) {
        self.entries.borrow_mut().retain(|id, _| exists(*id));
    }
}

impl EntryHealth {
    /// Whether the upstream as a whole can be used. Perf: weighed anew only when a verdict changed.
    fn has_enough(&self, balancer: &Balancer, choice: &Choice<'_>) -> bool {
        let turns = self.group.turns();
        let (weighed, enough) = self.enough.get();
        if weighed == turns {
            return enough;
        }
        let enough = balancer.is_healthy(self.group.checks().threshold, choice);
        self.enough.set((turns, enough));
        enough
    }
}

/// The targets of an upstream on their way to addresses.
struct Names {
    targets: Vec<TargetName>,
    /// One for each target, as far as it is known.
    resolved: Vec<Option<Result<Resolved, net::ResolveError>>>,
}

impl Names {
    fn of(upstream: &Upstream) -> Self {
        let targets = upstream.targets.iter().map(|target| TargetName {
            host: (*target.host).into(),
            port: target.port,
            weight: target.weight,
        });
        let targets: Vec<_> = targets.collect();
        Self {
            resolved: vec![None; targets.len()],
            targets,
        }
    }

    /// Takes the answers that are at hand, and has the others asked for.
    fn take_known(&mut self, worker: &Local) {
        let now = worker.clock.monotonic();
        for (target, resolved) in self.targets.iter().zip(&mut self.resolved) {
            *resolved = health::resolve_at_once(&worker.shared.resolver, target, now);
        }
    }

    /// Waits for the answers that are missing; they were all asked for at once.
    async fn wait(&mut self, worker: &Local, upstream: &Upstream) {
        let now = worker.clock.monotonic();
        for (target, resolved) in self.targets.iter().zip(&mut self.resolved) {
            if resolved.is_some() {
                continue;
            }
            let answer = health::resolve(&worker.shared.resolver, target, now).await;
            if let Err(error) = &answer {
                tracing::warn!(%error, upstream = %upstream.name, target = %target.host, "a target's name does not resolve");
            }
            *resolved = Some(answer);
        }
    }

    fn are_some_known(&self) -> bool {
        let mut known = self.resolved.iter().flatten().flatten();
        known.any(|resolved| !resolved.addresses.is_empty())
    }

    fn are_all_answered(&self) -> bool {
        self.resolved.iter().all(Option::is_some)
    }

    /// All addresses, and when they have to be asked for again. A target without an answer keeps the addresses it had.
    fn finish(self, before: Option<&Entry>, now: Instant) -> (Vec<Address>, Instant) {
        let mut addresses = Vec::with_capacity(self.targets.len());
        let mut expires = now + Duration::from_secs(3600);
        for (target, resolved) in self.targets.into_iter().zip(self.resolved) {
            if let Some(Ok(resolved)) = resolved {
                expires = expires.min(resolved.expires);
                addresses.extend(resolved.addresses);
                continue;
            }
            expires = expires.min(now + RETRY);
            let had = before.map_or(&[][..], |before| before.balancer.addresses());
            let had = had.iter().filter(|address| {
                address.target == target.host && address.target_port == target.port
            });
            addresses.extend(had.map(|address| Address {
                weight: if target.weight == 0 {
                    0
                } else {
                    address.weight
                },
                ..address.clone()
            }));
        }
        (addresses, expires)
    }
}
