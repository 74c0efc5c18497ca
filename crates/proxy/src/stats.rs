//! Counters of connections and requests: one shard a worker, written without contention, summed when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use crate::held::HeldBodies;

const STATUSES: usize = 600;

/// The counters of all workers.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    shards: Arc<Mutex<Vec<Arc<Shard>>>>,
    held: Arc<HeldBodies>,
}

/// What the counters say at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections that were ever accepted.
    pub accepted: u64,
    /// Connections that were accepted and served, not dropped at once.
    pub handled: u64,
    /// Requests whose head arrived.
    pub requests: u64,
    /// Connections that are open.
    pub active: u64,
    /// Of these, connections in the middle of a request head.
    pub reading: u64,
    /// Connections whose request is being answered.
    pub writing: u64,
    /// Connections between two requests.
    pub waiting: u64,
}

/// Connections to upstreams at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upstreams {
    /// Those that were ever opened.
    pub opened: u64,
    /// Requests that found a kept one.
    pub reused: u64,
    /// Those that are kept, as each worker last counted them.
    pub idle: u64,
}

impl Stats {
    /// A shard for one more worker; what a worker counted stays in the sums after it ended.
    pub fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard {
            held: self.held.clone(),
            ..Shard::default()
        });
        self.shards.lock().push(shard.clone());
        shard
    }

    /// The sums over all workers.
    pub fn connections(&self) -> Connections {
        let mut sum = Connections::default();
        for shard in self.shards.lock().iter() {
            sum.accepted += shard.accepted.get();
            sum.handled += shard.handled.get();
            sum.requests += shard.requests.get();
            sum.active += shard.active.get();
            sum.reading += shard.reading.get();
            sum.writing += shard.writing.get();
        }
        sum.waiting = sum.active.saturating_sub(sum.reading + sum.writing);
        sum
    }

    /// Connections to upstreams, over all workers.
    pub fn upstreams(&self) -> Upstreams {
        let mut sum = Upstreams::default();
        for shard in self.shards.lock().iter() {
            sum.opened += shard.upstream_opened.get();
            sum.reused += shard.upstream_reused.get();
            sum.idle += shard.upstream_idle.get();
        }
        sum
    }

    /// Bodies that are held for plugins.
    pub fn held_bodies(&self) -> &HeldBodies {
        &self.held
    }

    /// How many answers had each status, for the statuses that occurred.
    pub fn statuses(&self) -> Vec<(u16, u64)> {
        let shards = self.shards.lock();
        let count = |status: usize| {
            shards
                .iter()
                .filter_map(|shard| shard.statuses.0.get(status))
                .map(Counter::get)
                .sum()
        };
        let all = (0..STATUSES).map(|status| (u16::try_from(status).unwrap_or(0), count(status)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// The counters of one worker, which alone writes them.
#[derive(Debug, Default)]
pub struct Shard {
    pub accepted: Counter,
    pub handled: Counter,
    pub requests: Counter,
    pub active: Counter,
    pub reading: Counter,
    pub writing: Counter,
    pub upstream_opened: Counter,
    pub upstream_reused: Counter,
    pub upstream_idle: Counter,
    /// What all workers hold for plugins.
    pub held: Arc<HeldBodies>,
    statuses: Statuses,
}

impl Shard {
    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        if let Some(counter) = self.statuses.0.get(usize::from(status)) {
            counter.add();
        }
    }
}

#[derive(Debug)]
struct Statuses(Vec<Counter>);

impl Default for Statuses {
    fn default() -> Self {
        Self(
            std::iter::repeat_with(Counter::default)
                .take(STATUSES)
                .collect(),
        )
    }
}

/// A number with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more. Perf: with a single writer, a load and a store do what a locked instruction would.
    pub fn add(&self) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }

    /// One less.
    pub fn subtract(&self) {
        self.0.store(
            self.0.load(Ordering::Relaxed).saturating_sub(1),
            Ordering::Relaxed,
        );
    }

    /// Another number.
    pub fn set(&self, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts as one in a gauge for as long as it lives.
#[derive(Debug)]
pub struct Held(Arc<Shard>, fn(&Shard) -> &Counter);

impl Held {
    /// Adds one to the counter that `gauge` chooses.
    pub fn new(shard: &Arc<Shard>, gauge: fn(&Shard) -> &Counter) -> Self {
        gauge(shard).add();
        Self(shard.clone(), gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.1)(&self.0).subtract();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_run_over_all_workers_and_gauges_fall_back() {
        let stats = Stats::default();
        let (a, b) = (stats.shard(), stats.shard());
        a.requests.add();
        b.requests.add();
        a.answered(200);
        b.answered(200);
        b.answered(999);
        let held = (
            Held::new(&a, |shard| &shard.active),
            Held::new(&b, |shard| &shard.active),
            Held::new(&b, |shard| &shard.writing),
        );
        let during = stats.connections();
        assert_eq!(
            (
                during.requests,
                during.active,
                during.writing,
                during.waiting
            ),
            (2, 2, 1, 1)
        );
        assert_eq!(stats.statuses(), [(200, 2)]);
        drop(held);
        assert_eq!(stats.connections().active, 0);
    }
}
