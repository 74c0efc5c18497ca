//! What traffic an address has, and how much more it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::{AddressHealth, Observation};

/// What one worker has done with an address. Perf: it alone writes it, so that nothing is locked and no line is shared.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Self::COUNTERS.len()]);

impl Tally {
    /// What is counted: tries by their outcome.
    pub const COUNTERS: [&'static str; 4] = ["answered", "failed", "timed_out", "not_an_answer"];

    /// Counts a try.
    pub fn count(&self, outcome: Observation) {
        let counter = match outcome {
            Observation::Status(_) | Observation::Connected => &self.0[0],
            Observation::ConnectionFailed => &self.0[1],
            Observation::TimedOut => &self.0[2],
            Observation::Garbage => &self.0[3],
        };
        let before = counter.load(Ordering::Relaxed);
        counter.store(before.wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> [u64; Self::COUNTERS.len()] {
        self.0
            .each_ref()
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Requests of an upstream that wait until an address takes another one, on all workers of the node.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicU32,
    room: Notify,
}

impl Queue {
    /// A place in the queue, unless `limit` requests have one.
    pub fn enter(self: &Arc<Self>, limit: u32) -> Option<Waiting> {
        let one_more = |waiting| (waiting < limit).then_some(waiting + 1);
        let entered = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        entered.ok().map(|_| Waiting(self.clone()))
    }

    /// How many wait.
    pub fn len(&self) -> u32 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A place in a [`Queue`], given up when it is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Queue>);

impl Waiting {
    /// Resolves when an address of the upstream may take another request since this was called, not since it was first
    /// polled; or early.
    pub fn room(&self) -> impl Future<Output = ()> + '_ {
        let mut room = Box::pin(self.0.room.notified());
        room.as_mut().enable();
        room
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One of the requests that an address handles at a time.
#[derive(Debug)]
pub struct Place {
    address: Arc<AddressHealth>,
    queue: Arc<Queue>,
}

impl Place {
    /// A place at the address, unless `limit` requests have one.
    pub fn take(address: &Arc<AddressHealth>, queue: &Arc<Queue>, limit: u32) -> Option<Self> {
        let one_more = |open| (open < limit).then_some(open + 1);
        let taken = address
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Self {
            address: address.clone(),
            queue: queue.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.address.open.fetch_sub(1, Ordering::AcqRel);
        if !self.queue.is_empty() {
            self.queue.room.notify_one();
        }
    }
}

impl AddressHealth {
    /// Whether fewer than `limit` requests have a place.
    pub fn has_room(&self, limit: u32) -> bool {
        self.open.load(Ordering::Acquire) < limit
    }
}
