//! The time of day of moments that were measured by the clock that never goes back.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stdx::Clock;

/// How long the two clocks are taken to go alike, so that a jump of the time of day is seen soon.
const HOLDS: Duration = Duration::from_secs(1);

/// Tells the time of day of moments.
///
/// Perf: who logs wants to know several, mostly of the same moment, and no clock is read for them (`cargo xtask bench --only
/// plugins`, http-log).
pub(crate) struct WallTime {
    clock: Arc<dyn Clock>,
    /// One moment by both clocks.
    anchor: Cell<(Instant, SystemTime)>,
    /// What was told last.
    told: Cell<(Instant, SystemTime)>,
}

impl WallTime {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = (clock.monotonic(), clock.now());
        Self {
            clock,
            anchor: Cell::new(now),
            told: Cell::new(now),
        }
    }

    /// The time of day at a moment of the recent past.
    pub fn of(&self, moment: Instant) -> SystemTime {
        let (told, time) = self.told.get();
        if told == moment {
            return time;
        }
        let (anchor, time) = self.anchor.get();
        let there = match moment.checked_duration_since(anchor) {
            Some(later) if later > HOLDS => self.read(moment),
            Some(later) => time.checked_add(later),
            None => before(time, anchor, moment),
        };
        let time = there.unwrap_or(time);
        self.told.set((moment, time));
        time
    }

    /// Reads both clocks for the time of day at a moment.
    fn read(&self, moment: Instant) -> Option<SystemTime> {
        let (read, time) = (self.clock.monotonic(), self.clock.now());
        self.anchor.set((read, time));
        before(time, read, moment)
    }
}

/// The time of day at a moment, from that at a later one.
fn before(time: SystemTime, later: Instant, moment: Instant) -> Option<SystemTime> {
    time.checked_sub(later.saturating_duration_since(moment))
}

#[cfg(test)]
mod tests {
    use stdx::ManualClock;

    use super::*;

    #[test]
    fn moments_before_and_after_have_their_time_of_day() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let clock = Arc::new(ManualClock::at(start));
        let times = WallTime::new(clock.clone());
        let begin = clock.monotonic();
        clock.advance(Duration::from_secs(9));
        let later = clock.monotonic();
        assert_eq!(times.of(later), start + Duration::from_secs(9));
        assert_eq!(times.of(begin), start);
        assert_eq!(times.of(begin), start);
    }

    #[test]
    fn a_jump_of_the_time_of_day_is_seen_within_a_second() {
        let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
        let times = WallTime::new(clock.clone());
        clock.jump(Duration::from_secs(3600));
        clock.advance(HOLDS + Duration::from_millis(1));
        let time = times.of(clock.monotonic());
        assert_eq!(time, clock.now());
    }
}
