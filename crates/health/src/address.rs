//! What is known of one address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use stdx::Clock;
use tokio::sync::Notify;

use crate::{Tally, Thresholds};

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

/// A verdict that somebody gave by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub healthy: bool,
    /// Microseconds since 1970; later than every mark of the address that its giver knew of.
    pub at: u64,
}

/// What the addresses of an upstream have in common.
#[derive(Debug)]
pub(crate) struct Common {
    clock: Arc<dyn Clock>,
    /// How many verdicts changed.
    turns: AtomicU64,
    /// Told when one did. For one waiter, the prober.
    pub(crate) turned: Notify,
}

impl Common {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            turns: AtomicU64::new(0),
            turned: Notify::new(),
        })
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    fn micros(&self) -> u64 {
        micros(self.clock.now())
    }
}

/// The health of one address: whether it is healthy, and what speaks against that in a row; and the traffic that it has.
///
/// Perf: the verdict and its counters are one word, so that workers read and change it without a lock.
#[derive(Debug)]
pub struct AddressHealth {
    word: AtomicU64,
    common: Arc<Common>,
    reason: Mutex<Option<Reason>>,
    /// The newest mark, and whether nothing has contradicted it since.
    mark: Mutex<Option<(Mark, bool)>>,
    /// When it recovered or joined others, in microseconds since 1970; zero if it did neither.
    began: AtomicU64,
    /// When it was probed last, in microseconds since 1970; zero if never.
    probed: AtomicU64,
    /// Requests that it handles now, where they are limited.
    pub(crate) open: AtomicU32,
    tallies: Mutex<Vec<(u64, Arc<Tally>)>>,
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
    /// A healthy address; `joins` others that have been there for a while.
    pub(crate) fn new(common: Arc<Common>, joins: bool) -> Self {
        let began = if joins { common.micros() } else { 0 };
        Self {
            word: AtomicU64::new(0),
            common,
            reason: Mutex::default(),
            mark: Mutex::default(),
            began: AtomicU64::new(began),
            probed: AtomicU64::new(0),
            open: AtomicU32::new(0),
            tallies: Mutex::default(),
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

    /// The part of its share that an address gets which starts slowly: one when it has done so, or never had to.
    pub fn part(&self, slow_start: Duration) -> f64 {
        let began = self.began.load(Ordering::Relaxed);
        if began == 0 {
            return 1.0;
        }
        let Some(passed) = self.common.micros().checked_sub(began) else {
            // Somebody set the clock back.
            return 1.0;
        };
        let part = Duration::from_micros(passed).as_secs_f64() / slow_start.as_secs_f64();
        if part >= 1.0 {
            self.began.store(0, Ordering::Relaxed);
            return 1.0;
        }
        part
    }

    /// Notes that a probe begins.
    pub(crate) fn begin_probe(&self) {
        self.probed.store(self.common.micros(), Ordering::Relaxed);
    }

    /// How long ago the last probe began.
    pub(crate) fn since_probe(&self) -> Option<Duration> {
        let probed = self.probed.load(Ordering::Relaxed);
        let since = self.common.micros().checked_sub(probed)?;
        (probed > 0).then(|| Duration::from_micros(since))
    }

    /// Counts an observation, and says whether it changed the verdict.
    pub fn observe(
        &self,
        observation: Observation,
        thresholds: &Thresholds,
        by: &'static str,
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
        if let Some((_, holds)) = &mut *self.mark.lock() {
            *holds = false;
        }
        let failed = after & UNHEALTHY != 0;
        self.turned(failed.then(|| describe(observation, by)));
        true
    }

    /// Sets the verdict by hand; what was counted begins anew. The mark is later than all that are known of the address.
    pub fn mark(&self, healthy: bool) -> Mark {
        let mut own = self.mark.lock();
        let after = own.map_or(0, |(mark, _)| mark.at + 1);
        let mark = Mark {
            healthy,
            at: self.common.micros().max(after),
        };
        *own = Some((mark, true));
        drop(own);
        self.set(healthy);
        mark
    }

    /// Takes over a mark that another node gave, and says whether it is news: not if a later one is known.
    pub fn take_over(&self, mark: Mark) -> bool {
        let mut own = self.mark.lock();
        if own.is_some_and(|(known, _)| known.at >= mark.at) {
            return false;
        }
        *own = Some((mark, true));
        drop(own);
        self.set(mark.healthy);
        true
    }

    /// The mark that the verdict goes back to, if it does.
    pub fn marked(&self) -> Option<Mark> {
        self.mark
            .lock()
            .and_then(|(mark, holds)| holds.then_some(mark))
    }

    /// Forgets everything but the traffic.
    pub(crate) fn forget(&self) {
        *self.mark.lock() = None;
        self.set(true);
        self.began.store(0, Ordering::Relaxed);
    }

    /// The traffic that one worker gives it.
    pub fn tally(&self, worker: u64) -> Arc<Tally> {
        let mut tallies = self.tallies.lock();
        let own = tallies.iter().find(|(of, _)| *of == worker);
        if let Some((_, own)) = own {
            return own.clone();
        }
        let own = Arc::new(Tally::default());
        tallies.push((worker, own.clone()));
        own
    }

    /// The traffic of all workers, in the order of [`Tally::COUNTERS`].
    pub fn traffic(&self) -> [u64; Tally::COUNTERS.len()] {
        let mut sum = [0; Tally::COUNTERS.len()];
        for (_, tally) in self.tallies.lock().iter() {
            for (sum, counter) in sum.iter_mut().zip(tally.read()) {
                *sum += counter;
            }
        }
        sum
    }

    fn set(&self, healthy: bool) {
        let word = if healthy { 0 } else { UNHEALTHY };
        let before = self.word.swap(word, Ordering::AcqRel);
        if (before ^ word) & UNHEALTHY != 0 {
            self.turned((!healthy).then(|| "marked unhealthy".to_owned()));
        }
    }

    fn turned(&self, reason: Option<String>) {
        let since = self.common.clock.now();
        if reason.is_none() {
            self.began.store(micros(since), Ordering::Relaxed);
        }
        *self.reason.lock() = reason.map(|text| Reason {
            text: text.into(),
            since,
        });
        self.common.turns.fetch_add(1, Ordering::Release);
        self.common.turned.notify_one();
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
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
