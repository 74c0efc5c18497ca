//! The prober of an upstream: asks its addresses, each as often as its state wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::Address;
use net::dns::Resolver;
use stdx::{Clock, SeededRandom};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{AddressHealth, Group, Probe, TargetName, resolve};

/// How soon names are looked at again if one could not be resolved.
const RETRY: Duration = Duration::from_secs(1);

/// Everything that the probes of an upstream need. There is one for a node, on the control runtime.
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
    due: Instant,
    /// The verdict that `due` goes by.
    healthy: bool,
}

impl Prober {
    /// Probes until it is dropped. Returns if there is nothing to probe.
    pub async fn run(self) {
        if !self.group.checks().active.is_on() {
            return;
        }
        let mut random = SeededRandom::from_entropy();
        let mut subjects = Vec::new();
        let mut renew = self.clock.monotonic();
        loop {
            let now = self.clock.monotonic();
            if renew <= now {
                renew = self.renew(&mut subjects, &mut random, now).await;
            }
            self.ask_due(&mut subjects).await;
            let next = subjects.iter().filter_map(|subject| self.next(subject));
            let next = next.min().unwrap_or(renew).min(renew);
            let wait = next.saturating_duration_since(self.clock.monotonic());
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// Resolves all names; returns when that has to be done again.
    async fn renew(
        &self,
        subjects: &mut Vec<Subject>,
        random: &mut SeededRandom,
        now: Instant,
    ) -> Instant {
        let mut expires = now + Duration::from_secs(3600);
        let mut addresses = Vec::new();
        let mut complete = true;
        for target in self.targets.iter().filter(|target| target.weight > 0) {
            match resolve(&self.resolver, target, now).await {
                Ok(resolved) => {
                    expires = expires.min(resolved.expires);
                    addresses.extend(resolved.addresses);
                }
                Err(_) => {
                    complete = false;
                    expires = expires.min(now + RETRY);
                }
            }
        }
        if complete {
            self.group.retain(&addresses);
        }
        let health = self.group.health(&addresses);
        let endpoint =
            |address: &Address| (address.target.clone(), address.host.clone(), address.port);
        let mut before: HashMap<_, _> = subjects
            .drain(..)
            .map(|subject| (endpoint(&subject.address), subject))
            .collect();
        for (address, health) in addresses.into_iter().zip(health) {
            let Some(socket) = socket(&address) else {
                continue;
            };
            let (due, healthy) = match before.remove(&endpoint(&address)) {
                Some(subject) => (subject.due, subject.healthy),
                None => {
                    let healthy = health.is_healthy();
                    let first = self.interval(healthy).unwrap_or_default();
                    (now + part_of(first, random), healthy)
                }
            };
            subjects.push(Subject {
                address,
                health,
                socket,
                due,
                healthy,
            });
        }
        expires
    }

    /// When an address is to be probed; none while its state asks for no probes.
    fn next(&self, subject: &Subject) -> Option<Instant> {
        // Somebody else may change the verdict at any time, and that is looked at as often as probes are made.
        let active = &self.group.checks().active;
        let look = active.healthy_interval.or(active.unhealthy_interval)?;
        match self.interval(subject.health.is_healthy()) {
            Some(_) => Some(subject.due),
            None => Some(subject.due.max(self.clock.monotonic() + look)),
        }
    }

    fn interval(&self, healthy: bool) -> Option<Duration> {
        let active = &self.group.checks().active;
        if healthy {
            active.healthy_interval
        } else {
            active.unhealthy_interval
        }
    }

    /// Asks every address that is due, as many at a time as is allowed.
    async fn ask_due(&self, subjects: &mut [Subject]) {
        let active = &self.group.checks().active;
        let permits = Arc::new(Semaphore::new(active.concurrency));
        let mut probes = JoinSet::new();
        for subject in subjects {
            let now = self.clock.monotonic();
            let healthy = subject.health.is_healthy();
            let Some(interval) = self.interval(healthy) else {
                subject.healthy = healthy;
                continue;
            };
            if healthy != subject.healthy {
                subject.healthy = healthy;
                subject.due = subject.due.min(now + interval);
            }
            if subject.due > now {
                continue;
            }
            subject.due = now + interval;
            let permits = permits.clone();
            let (probe, group) = (self.probe.clone(), self.group.clone());
            let (health, clock) = (subject.health.clone(), self.clock.clone());
            let (socket, target) = (subject.socket, subject.address.target.clone());
            let upstream = self.name.clone();
            probes.spawn(async move {
                // It is never closed.
                let _permit = permits.acquire_owned().await;
                let observation = probe.ask(socket, &target).await;
                let thresholds = &group.checks().active.thresholds;
                if health.observe(observation, thresholds, "active check", || clock.now()) {
                    let healthy = health.is_healthy();
                    tracing::warn!(%upstream, %target, address = %socket, healthy, ?observation, "the health of a target changed");
                }
            });
        }
        while probes.join_next().await.is_some() {}
    }
}

fn socket(address: &Address) -> Option<SocketAddr> {
    let bare = address.host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, address.port))
}

/// A random part of a time, so that probes of many upstreams do not come at once.
fn part_of(time: Duration, random: &mut SeededRandom) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(random.below(micros))
}
