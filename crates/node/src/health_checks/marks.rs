//! Marks by hand, and how all nodes come to know them.
//!
//! A mark is told to all nodes at once, Kong's included, in Kong's own words with the time of the mark behind them.
//! Nodes of ours keep marks that still hold, and tell each other all of them when a node starts and asks, and from time
//! to time. The latest mark of an address counts, so that it does not matter what is told twice, late, or in another order.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use balancer::Address;
use cluster::Words;
use health::Mark;
use parking_lot::Mutex;
use stdx::SeededRandom;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::HealthChecks;

/// Where Kong tells of marks.
const KONG: &str = "balancer:post_health";

/// Where nodes of ours tell each other all marks.
const OURS: &str = "silverback:marks";

/// What a node says there that wants to know all marks.
const QUESTION: &str = "?";

/// How often all marks are told.
const PERIOD: Duration = Duration::from_secs(60);

/// How long nodes wait before they answer a question, so that one of them does and the others need not.
const ANSWER: Duration = Duration::from_millis(500);

/// Marks in one word at most.
const MOST: usize = 10_000;

/// What a node needs to tell and hear of marks.
pub struct Marks {
    words: Arc<Words>,
    /// Somebody asked.
    asked: Notify,
    /// The marks that another node told last, a line each, and when.
    heard: Mutex<Option<(HashSet<Box<str>>, Instant)>>,
}

impl Marks {
    pub fn new(words: Arc<Words>) -> Self {
        Self {
            words,
            asked: Notify::new(),
            heard: Mutex::default(),
        }
    }

    /// Whether another node has told all these marks since a time.
    fn are_told(&self, lines: &HashSet<Box<str>>, since: Instant) -> bool {
        let heard = self.heard.lock();
        let heard = heard.as_ref().filter(|(_, when)| *when >= since);
        heard.is_some_and(|(heard, _)| lines.is_subset(heard))
    }
}

/// A mark as one node tells another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// The target's name, IPv6 in brackets.
    host: Box<str>,
    /// One address of the target, or all.
    ip: Option<IpAddr>,
    port: u16,
    healthy: bool,
    upstream: Uuid,
    /// When the mark was given; Kong does not say.
    at: Option<u64>,
}

impl Told {
    /// Kong's words, and the time behind the upstream's name, which Kong does nothing with.
    fn write(&self, name: &str) -> String {
        let ip = self.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let (host, port, upstream) = (&self.host, self.port, self.upstream);
        let mut text = format!(
            "{host}|{ip}|{port}|{}|{upstream}|{name}",
            u8::from(self.healthy)
        );
        if let Some(at) = self.at {
            let _ = write!(text, "|{at}");
        }
        text
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let mut next = || parts.next();
        let (host, ip, port) = (next()?, next()?, next()?);
        let (healthy, upstream, _name) = (next()?, next()?, next()?);
        Some(Self {
            host: host.into(),
            // Compat: what is no address stands for all of them.
            ip: bare(ip).parse().ok(),
            port: port.parse().ok()?,
            healthy: healthy == "1",
            upstream: upstream.parse().ok()?,
            at: next().and_then(|at| at.parse().ok()),
        })
    }

    fn is_about(&self, address: &Address) -> bool {
        let is_target = *address.target == *self.host;
        match self.ip {
            Some(ip) => {
                is_target && address.port == self.port && bare(&address.host).parse() == Ok(ip)
            }
            None => is_target && address.target_port == self.port,
        }
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl HealthChecks {
    /// Marks the addresses of a target, or one of them, here and on all nodes.
    pub(super) async fn mark_by_hand(
        &self,
        upstream: Uuid,
        target: &str,
        address: Option<&str>,
        healthy: bool,
    ) -> Result<(), String> {
        let snapshot = self.data_plane.snapshot();
        let Some(upstream) = snapshot.upstream_by_id(upstream) else {
            return Err("upstream not found".to_owned());
        };
        let group = self.group(upstream);
        if !group.is_on() {
            return Err(format!("no healthchecker found for {}", upstream.name));
        }
        let resolved = self.resolved(upstream).await.into_iter();
        let resolved =
            resolved.filter(|(name, _)| format!("{}:{}", name.host, name.port) == target);
        let addresses = resolved.filter_map(|(_, resolved)| Some(resolved?.addresses));
        let mut addresses: Vec<Address> = addresses.flatten().collect();
        if let Some(wanted) = address {
            addresses.retain(|own| is_named(own, wanted));
        }
        let Some(first) = addresses.first().cloned() else {
            return Err("target not found".to_owned());
        };
        let health = group.health(&addresses);
        let marks = health.iter().map(|health| health.mark(healthy).at);
        let told = Told {
            host: (*first.target).into(),
            at: marks.max(),
            ip: address.and_then(|_| bare(&first.host).parse().ok()),
            port: address.map_or(first.target_port, |_| first.port),
            healthy,
            upstream: upstream.id,
        };
        let text = told.write(&upstream.name);
        if let Err(error) = self.marks.words.tell(KONG, text).await {
            tracing::warn!(upstream = %upstream.name, target, healthy, "the other nodes hear of a mark later: {error}");
        }
        Ok(())
    }

    /// Takes over what another node told.
    async fn hear_mark(&self, text: &str) {
        let Some(told) = Told::read(text) else {
            return tracing::warn!(text, "a mark of another node cannot be read");
        };
        let snapshot = self.data_plane.snapshot();
        let Some(upstream) = snapshot.upstream_by_id(told.upstream) else {
            return;
        };
        let group = self.group(upstream);
        if !group.is_on() {
            return;
        }
        let resolved = self.resolved(upstream).await;
        let addresses = resolved.into_iter().filter_map(|(_, resolved)| resolved);
        let addresses = addresses.flat_map(|resolved| resolved.addresses);
        let addresses: Vec<Address> = addresses.filter(|own| told.is_about(own)).collect();
        for health in group.health(&addresses) {
            match told.at {
                Some(at) => {
                    let healthy = told.healthy;
                    health.take_over(Mark { healthy, at });
                }
                None => {
                    health.mark(told.healthy);
                }
            }
        }
    }

    /// Takes over all marks of another node.
    fn hear_marks(&self, text: &str) {
        let snapshot = self.data_plane.snapshot();
        for told in text.lines().take(MOST).filter_map(Told::read) {
            let (Some(ip), Some(at)) = (told.ip, told.at) else {
                continue;
            };
            let Some(upstream) = snapshot.upstream_by_id(told.upstream) else {
                continue;
            };
            let group = self.group(upstream);
            if group.is_on() {
                let host = match ip {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                let health = group.address(&told.host, &host, told.port);
                health.take_over(Mark {
                    healthy: told.healthy,
                    at,
                });
            }
        }
        let lines = text.lines().map(Into::into).collect();
        *self.marks.heard.lock() = Some((lines, Instant::now()));
    }

    /// All marks that hold, a line each.
    fn marks_that_hold(&self) -> HashSet<Box<str>> {
        let mut lines = HashSet::new();
        for (upstream, group) in self.data_plane.health().groups() {
            for ((target, host, port), health) in group.known() {
                let (Some(mark), Ok(ip)) = (health.marked(), bare(&host).parse()) else {
                    continue;
                };
                let told = Told {
                    host: (*target).into(),
                    ip: Some(ip),
                    port,
                    healthy: mark.healthy,
                    upstream,
                    at: Some(mark.at),
                };
                lines.insert(told.write("").into());
            }
        }
        lines
    }

    /// Tells all marks, unless another node has done so since a time.
    async fn tell_marks(&self, since: Instant) {
        let lines = self.marks_that_hold();
        if lines.is_empty() || self.marks.are_told(&lines, since) {
            return;
        }
        let lines: Vec<&str> = lines.iter().take(MOST).map(|line| &**line).collect();
        // Without the database it is told another time.
        let _ = self.marks.words.tell(OURS, lines.join("\n")).await;
    }
}

/// Tells and hears of marks until the tasks end.
pub(super) fn exchange(checks: &Arc<HealthChecks>) -> Vec<JoinHandle<()>> {
    let words = checks.marks.words.clone();
    let weak = Arc::downgrade(checks);
    words.hear(
        KONG,
        Arc::new(move |text: &str| {
            if let Some(checks) = weak.upgrade() {
                let text = text.to_owned();
                tokio::spawn(async move { checks.hear_mark(&text).await });
            }
        }),
    );
    let weak = Arc::downgrade(checks);
    words.hear(
        OURS,
        Arc::new(move |text: &str| match weak.upgrade() {
            Some(checks) if text == QUESTION => checks.marks.asked.notify_one(),
            Some(checks) => checks.hear_marks(text),
            None => {}
        }),
    );
    let asking = tokio::spawn(async move {
        // If the database is away now, the question waits for it.
        let _ = words.tell(OURS, QUESTION.to_owned()).await;
    });
    let telling = tokio::spawn(tell(Arc::downgrade(checks)));
    vec![asking, telling]
}

/// Tells all marks when somebody asks, and from time to time.
async fn tell(checks: Weak<HealthChecks>) {
    let mut random = SeededRandom::from_entropy();
    let mut part_of = |time: Duration| {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(random.below(millis))
    };
    loop {
        let Some(strong) = checks.upgrade() else {
            return;
        };
        let began = Instant::now();
        let pause = PERIOD + part_of(PERIOD / 2);
        let asked = tokio::time::timeout(pause, strong.marks.asked.notified()).await;
        let since = match asked {
            Ok(()) => {
                let since = Instant::now();
                tokio::time::sleep(part_of(ANSWER)).await;
                since
            }
            Err(_) => began,
        };
        strong.tell_marks(since).await;
    }
}

fn is_named(address: &Address, wanted: &str) -> bool {
    format!("{}:{}", address.host, address.port) == wanted || *address.host == *wanted
}

#[cfg(test)]
mod tests;
