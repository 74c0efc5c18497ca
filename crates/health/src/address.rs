//! What is known of one address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::Thresholds;

/// What a probe or an exchange tells about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It answered with this status.
    Status(u16),
    /// A connection was all that was asked, and there is one.
    Connected,
    /// It refused, reset, or ended the connection too early.
    ConnectionFailed,
    /// It was too slow.
    TimedOut,
    /// It answered something that is no answer.
    Garbage,
}

/// Why an address is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub text: Box<str>,
    pub since: SystemTime,
}

/// The health of one address: whether it is healthy, and what speaks against that in a row.
///
/// Perf: one word, so that workers read and change it without a lock.
#[derive(Debug, Default)]
pub struct AddressHealth {
    word: AtomicU64,
    /// How many verdicts of the upstream's addresses changed.
    turns: Arc<AtomicU64>,
    reason: Mutex<Option<Reason>>,
}

/// What the counters count; the value is their place in the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    Successes = 0,
    HttpFailures = 8,
    TcpFailures = 16,
    Timeouts = 24,
}

const UNHEALTHY: u64 = 1 << 32;
const SUCCESSES: u64 = 0xff;
const FAILURES: u64 = 0xffff_ff00;

impl AddressHealth {
    pub(crate) fn new(turns: Arc<AtomicU64>) -> Self {
        Self {
            turns,
            ..Self::default()
        }
    }

    /// Whether it may take traffic.
    pub fn is_healthy(&self) -> bool {
        self.word.load(Ordering::Relaxed) & UNHEALTHY == 0
    }

    /// Why it is out; `None` if it is not.
    pub fn reason(&self) -> Option<Reason> {
        let reason = self.reason.lock();
        reason.clone().filter(|_| !self.is_healthy())
    }

    /// Counts an observation, and says whether it changed the verdict. `now` is asked only then.
    pub fn observe(
        &self,
        observation: Observation,
        thresholds: &Thresholds,
        by: &'static str,
        now: impl FnOnce() -> SystemTime,
    ) -> bool {
        let (counter, limit) = match observation {
            Observation::Status(status) if thresholds.healthy_statuses.contains(&status) => {
                (Counter::Successes, thresholds.successes)
            }
            Observation::Status(status) if thresholds.unhealthy_statuses.contains(&status) => {
                (Counter::HttpFailures, thresholds.http_failures)
            }
            Observation::Status(_) => return false,
            Observation::Connected => (Counter::Successes, thresholds.successes),
            Observation::ConnectionFailed => (Counter::TcpFailures, thresholds.tcp_failures),
            Observation::TimedOut => (Counter::Timeouts, thresholds.timeouts),
            Observation::Garbage => (Counter::HttpFailures, thresholds.http_failures),
        };
        if limit == 0 {
            return false;
        }
        let count = |word| counted(word, counter, limit);
        let before = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, count);
        let Ok(before) = before else {
            return false;
        };
        let after = counted(before, counter, limit).unwrap_or(before);
        if (before ^ after) & UNHEALTHY == 0 {
            return false;
        }
        let reason = (after & UNHEALTHY != 0).then(|| Reason {
            text: describe(observation, by).into(),
            since: now(),
        });
        self.turned(reason);
        true
    }

    /// Sets the verdict by hand. What was counted begins anew.
    pub fn mark(&self, healthy: bool, now: SystemTime) {
        let word = if healthy { 0 } else { UNHEALTHY };
        let before = self.word.swap(word, Ordering::AcqRel);
        if (before ^ word) & UNHEALTHY != 0 {
            self.turned((!healthy).then(|| Reason {
                text: "marked unhealthy".into(),
                since: now,
            }));
        }
    }

    fn turned(&self, reason: Option<Reason>) {
        *self.reason.lock() = reason;
        self.turns.fetch_add(1, Ordering::Release);
    }
}

/// The word after one more of a counter; `None` if nothing changes.
///
/// Only what contradicts the verdict is counted, and what agrees with it forgets that.
fn counted(word: u64, counter: Counter, limit: u8) -> Option<u64> {
    let is_unhealthy = word & UNHEALTHY != 0;
    let is_success = counter == Counter::Successes;
    if is_unhealthy != is_success {
        let contradictions = if is_success { FAILURES } else { SUCCESSES };
        return (word & contradictions != 0).then_some(word & !contradictions);
    }
    let place = counter as u32;
    let count = (word >> place & 0xff) + 1;
    if count >= u64::from(limit) {
        return Some((word & UNHEALTHY) ^ UNHEALTHY);
    }
    Some(word & !(0xff << place) | count << place)
}

fn describe(observation: Observation, by: &str) -> String {
    match observation {
        Observation::Status(status) => format!("{by}: status {status}"),
        Observation::Connected => format!("{by}: connected"),
        Observation::ConnectionFailed => format!("{by}: the connection failed"),
        Observation::TimedOut => format!("{by}: timed out"),
        Observation::Garbage => format!("{by}: not an answer"),
    }
}
