//! Time as an argument, so that a test can set it.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall-clock time; it may jump.
    fn now(&self) -> SystemTime;

    /// Time that never goes back, for measuring durations.
    fn monotonic(&self) -> Instant;

    /// Whole seconds since the Unix epoch; zero before it.
    fn unix_seconds(&self) -> i64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
    }

    /// Milliseconds since the Unix epoch; zero before it.
    fn unix_millis(&self) -> i64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    start: (SystemTime, Instant),
    passed: Mutex<Duration>,
    jumped: Mutex<Duration>,
}

impl ManualClock {
    /// Starts at `now`.
    pub fn at(now: SystemTime) -> Self {
        Self {
            start: (now, Instant::now()),
            passed: Mutex::default(),
            jumped: Mutex::default(),
        }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock() += by;
    }

    /// Moves the time of day alone, as somebody who sets the machine's clock.
    pub fn jump(&self, by: Duration) {
        *self.jumped.lock() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.start.0 + *self.passed.lock() + *self.jumped.lock()
    }

    fn monotonic(&self) -> Instant {
        self.start.1 + *self.passed.lock()
    }
}
