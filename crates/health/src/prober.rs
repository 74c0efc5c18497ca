//! The prober of an upstream: asks its addresses, each as often as its state wants.
//!
//! No address waits for another one: a probe is a task of its own, and names are resolved beside the probes. Only
//! `concurrency` bounds how many run at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use balancer::Address;
use net::ResolveError;
use net::dns::Resolver;
use stdx::{Clock, SeededRandom};
use tokio::task::{Id, JoinSet};

use crate::{AddressHealth, Group, Probe, Resolved, TargetName, resolve_all, resolve_at_once};

/// How soon names are looked at again if one could not be resolved.
const RETRY: Duration = Duration::from_secs(1);

/// Probes that are due within this part of an interval are begun together, and those of other upstreams at the same
/// moments, so that many addresses do not mean many wakings.
const BATCHES: u32 = 200;

/// How much later than it is due a probe may begin for that.
const LATEST: Duration = Duration::from_millis(50);

/// Everything that the probes of an upstream need. A node has one for each of its upstreams.
pub struct Prober {
    pub group: Arc<Group>,
    pub probe: Arc<Probe>,
    pub targets: Vec<TargetName>,
    /// The upstream's name, for the log.
    pub name: Box<str>,
    pub resolver: Resolver,
    pub clock: Arc<dyn Clock>,
}

/// An address that is probed.
struct Subject {
    address: Address,
    health: Arc<AddressHealth>,
    socket: SocketAddr,
    /// When it is to be asked; none while its state asks for no probes, and while it is asked.
    due: Option<Instant>,
    /// The verdict that `due` goes by.
    healthy: bool,
    /// Since when it is asked.
    asked: Option<Instant>,
}

/// The addresses of a prober, and in which order they are due.
#[derive(Default)]
struct Agenda {
    subjects: Vec<Subject>,
    /// Times and places of subjects. Only an entry with the time that its subject is due at means something.
    order: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Agenda {
    /// Whether its subjects are these.
    fn is_about(&self, addresses: &[Address]) -> bool {
        let own = self.subjects.iter().map(|subject| &subject.address);
        own.eq(addresses)
    }

    fn put(&mut self, place: usize, due: Option<Instant>) {
        if let Some(subject) = self.subjects.get_mut(place) {
            subject.due = due;
            self.order.extend(due.map(|due| Reverse((due, place))));
        }
    }

    /// When the next one is due.
    fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((due, place))) = self.order.peek() {
            let is_due = |subject: &Subject| subject.due == Some(*due);
            if self.subjects.get(*place).is_some_and(is_due) {
                return Some(*due);
            }
            self.order.pop();
        }
        None
    }

    /// Takes the next one that is due by now.
    fn take(&mut self, now: Instant) -> Option<usize> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, place)) = self.order.pop()?;
        let subject = self.subjects.get_mut(place)?;
        subject.due = None;
        subject.asked = Some(now);
        Some(place)
    }
}

/// What names stand for, as far as it is known.
type Names = Vec<Option<Result<Resolved, ResolveError>>>;

impl Prober {
    /// Probes until it is dropped. Returns if there is nothing to probe.
    pub async fn run(self) {
        if !self.group.checks().active.is_on() {
            return;
        }
        let mut random = SeededRandom::from_entropy();
        let mut agenda = Agenda::default();
        let mut probes = JoinSet::new();
        // Which subject a probe is about.
        let mut asked: HashMap<Id, usize> = HashMap::new();
        let mut names = Box::pin(self.resolve_names(Duration::ZERO, false));
        let concurrency = self.group.checks().active.concurrency;
        loop {
            let now = self.clock.monotonic();
            while asked.len() < concurrency
                && let Some(place) = agenda.take(now)
            {
                let task = self.ask(&agenda.subjects[place]);
                asked.insert(probes.spawn(task).id(), place);
            }
            let next = agenda.next().filter(|_| asked.len() < concurrency);
            tokio::select! {
                // Those that are over come first, because they make room.
                biased;
                Some(over) = probes.join_next_with_id() => {
                    let mut over = Some(over);
                    while let Some(one) = over {
                        let id = one.map_or_else(|error| error.id(), |(id, ())| id);
                        if let Some(place) = asked.remove(&id) {
                            self.plan_again(&mut agenda, place);
                        }
                        over = probes.try_join_next_with_id();
                    }
                }
                () = self.group.turned() => self.notice(&mut agenda),
                resolved = &mut names => {
                    // Who waits for a name server that hangs has all other addresses meanwhile.
                    let is_partial = resolved.iter().any(Option::is_none);
                    let (addresses, expires) = self.addresses(resolved, &agenda);
                    if !agenda.is_about(&addresses) {
                        agenda = self.plan(addresses, agenda, &mut random);
                        // The places of subjects are others now; probes under way report what they find by themselves.
                        asked.clear();
                        probes.detach_all();
                    }
                    let wait = expires.saturating_duration_since(self.clock.monotonic());
                    names = Box::pin(match is_partial {
                        true => self.resolve_names(Duration::ZERO, true),
                        false => self.resolve_names(wait, false),
                    });
                }
                () = self.sleep_until(next) => {}
            }
        }
    }

    /// Sleeps until the first of the node's common moments after something is due; for ever if nothing is.
    async fn sleep_until(&self, next: Option<Instant>) {
        let Some(next) = next else {
            return std::future::pending().await;
        };
        let active = &self.group.checks().active;
        let interval = active.healthy_interval.or(active.unhealthy_interval);
        let batch = (interval.unwrap_or_default() / BATCHES).min(LATEST);
        let batch = batch.max(Duration::from_millis(1));
        let wait = next.saturating_duration_since(self.clock.monotonic());
        let since_epoch = self.clock.now().duration_since(UNIX_EPOCH);
        let due = since_epoch.unwrap_or_default() + wait;
        tokio::time::sleep(wait + until_common_moment(due, batch)).await;
    }

    /// Resolves names after a while: all of them, or those that need no waiting.
    async fn resolve_names(&self, wait: Duration, all: bool) -> Names {
        tokio::time::sleep(wait).await;
        let now = self.clock.monotonic();
        if all {
            let names = resolve_all(&self.resolver, &self.targets, now).await;
            return names.into_iter().map(Some).collect();
        }
        let targets = self.targets.iter();
        targets
            .map(|target| resolve_at_once(&self.resolver, target, now))
            .collect()
    }

    /// What the names stand for, and when they have to be resolved again. The addresses of a name that does not resolve
    /// stay.
    fn addresses(&self, names: Names, agenda: &Agenda) -> (Vec<Address>, Instant) {
        let now = self.clock.monotonic();
        let mut expires = now + Duration::from_secs(3600);
        let mut addresses = Vec::new();
        for (target, resolved) in self.targets.iter().zip(names) {
            // Compat: without weight nothing is checked.
            if target.weight == 0 {
                continue;
            }
            match resolved {
                Some(Ok(resolved)) => {
                    expires = expires.min(resolved.expires);
                    addresses.extend(resolved.addresses);
                }
                Some(Err(_)) | None => {
                    expires = expires.min(now + RETRY);
                    let had = agenda.subjects.iter().map(|subject| &subject.address);
                    let had = had
                        .filter(|had| had.target == target.host && had.target_port == target.port);
                    addresses.extend(had.cloned());
                }
            }
        }
        (addresses, expires)
    }

    /// An agenda for new addresses, which goes on with what the old one has planned for those that stay.
    fn plan(&self, addresses: Vec<Address>, old: Agenda, random: &mut SeededRandom) -> Agenda {
        let now = self.clock.monotonic();
        let health = self.group.health(&addresses);
        let endpoint =
            |address: &Address| (address.target.clone(), address.host.clone(), address.port);
        let mut before: HashMap<_, _> = old
            .subjects
            .into_iter()
            .map(|subject| (endpoint(&subject.address), subject))
            .collect();
        let mut agenda = Agenda::default();
        for (address, health) in addresses.into_iter().zip(health) {
            let Some(socket) = socket(&address) else {
                continue;
            };
            let healthy = health.is_healthy();
            let interval = self.interval(healthy);
            let due = match before.remove(&endpoint(&address)) {
                Some(subject) if subject.healthy == healthy && subject.due.is_some() => subject.due,
                // A prober that another one replaced may have asked it lately.
                _ => interval.map(|interval| {
                    let since = health.since_probe();
                    let wait = since.map(|since| interval.saturating_sub(since));
                    now + wait.unwrap_or_else(|| part_of(interval, random))
                }),
            };
            agenda.subjects.push(Subject {
                address,
                health,
                socket,
                due: None,
                healthy,
                asked: None,
            });
            agenda.put(agenda.subjects.len() - 1, due);
        }
        agenda
    }

    fn interval(&self, healthy: bool) -> Option<Duration> {
        let active = &self.group.checks().active;
        if healthy {
            active.healthy_interval
        } else {
            active.unhealthy_interval
        }
    }

    /// Plans the next probe of an address whose probe is over.
    fn plan_again(&self, agenda: &mut Agenda, place: usize) {
        let Some(subject) = agenda.subjects.get_mut(place) else {
            return;
        };
        let now = self.clock.monotonic();
        let since = subject.asked.take().unwrap_or(now);
        subject.healthy = subject.health.is_healthy();
        let interval = self.interval(subject.healthy);
        agenda.put(place, interval.map(|interval| since + interval));
    }

    /// Plans probes anew where somebody else changed the verdict.
    fn notice(&self, agenda: &mut Agenda) {
        let now = self.clock.monotonic();
        for place in 0..agenda.subjects.len() {
            let subject = &mut agenda.subjects[place];
            let healthy = subject.health.is_healthy();
            if subject.asked.is_some() || subject.healthy == healthy {
                continue;
            }
            subject.healthy = healthy;
            let due = subject.due;
            let next = self.interval(healthy).map(|interval| {
                let next = now + interval;
                due.map_or(next, |due| due.min(next))
            });
            agenda.put(place, next);
        }
    }

    /// Asks an address once.
    fn ask(&self, subject: &Subject) -> impl Future<Output = ()> + Send + use<> {
        let (probe, group) = (self.probe.clone(), self.group.clone());
        let (health, upstream) = (subject.health.clone(), self.name.clone());
        let (socket, target) = (subject.socket, subject.address.target.clone());
        health.begin_probe();
        async move {
            let observation = probe.ask(socket, &target).await;
            let thresholds = &group.checks().active.thresholds;
            if health.observe(observation, thresholds, "active check") {
                let healthy = health.is_healthy();
                tracing::warn!(%upstream, %target, address = %socket, healthy, ?observation, "the health of a target changed");
            }
        }
    }
}

fn socket(address: &Address) -> Option<SocketAddr> {
    let bare = address.host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, address.port))
}

/// How long after `due` the next of the moments is that all have in common who ask for the same steps; times are since
/// 1970.
pub(crate) fn until_common_moment(due: Duration, step: Duration) -> Duration {
    let past = due.as_nanos() % step.as_nanos().max(1);
    step.saturating_sub(Duration::from_nanos(
        u64::try_from(past).unwrap_or_default(),
    ))
}

/// A random part of a time, so that probes of many upstreams do not come at once.
fn part_of(time: Duration, random: &mut SeededRandom) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(random.below(micros))
}
