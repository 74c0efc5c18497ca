//! Counters of this node.
//!
//! Memory is bounded: counters live in two generations, and when the younger one is full the older one is forgotten. What
//! is counted in moves to the younger one, so that only who has not been seen for long is lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use parking_lot::Mutex;

use super::subject::Names;
use super::{Limit, Period, Used, Verdict};

/// Parts with a lock of their own.
const SHARDS: usize = 32;

/// Counters of one generation of a part.
const GENERATION: usize = 8192;

/// The counters; see the module.
pub struct LocalCounters {
    names: Names,
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for LocalCounters {
    fn default() -> Self {
        Self {
            names: Names::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

/// The counters of one subject, which have a lock in common.
#[derive(Debug, Clone, Copy)]
pub struct Place(pub(super) u128);

impl Place {
    /// The place of the same subject in another's: whoever counts for several gives each a place of its own.
    pub fn within(self, outer: Self) -> Self {
        Self(self.0 ^ outer.0)
    }

    fn shard(self) -> usize {
        const TOP: u32 = 64;
        usize::try_from((self.0 >> TOP) % SHARDS as u128).unwrap_or(0)
    }

    /// The number of one of its counters.
    pub(super) fn counter(self, period: Period) -> u128 {
        self.0 ^ (period as u128)
    }
}

type Generation = HashMap<u128, Counter, BuildHasherDefault<Number>>;

#[derive(Default)]
struct Shard {
    young: Generation,
    old: Generation,
}

#[derive(Clone, Copy)]
struct Counter {
    /// When the window began that it counts.
    start: i64,
    count: f64,
}

impl LocalCounters {
    /// The place of a subject.
    pub fn place(&self, subject: &impl Hash) -> Place {
        Place(self.names.number(subject))
    }

    /// Counts a request, if there is room for it in all windows.
    ///
    /// Perf: each counter is looked up once, unless a window is full behind one that is not (bench case "rate-limiting,
    /// local").
    pub fn take(&self, place: Place, limits: &[Limit], now: i64) -> Verdict {
        let mut shard = self.shards[place.shard()].lock();
        let mut used = Used::default();
        let mut granted = true;
        for (used, limit) in used.iter_mut().zip(limits) {
            let counter = shard.present(place, limit.period, now);
            *used = counter.count;
            granted &= counter.count < limit.most;
            if granted {
                counter.count += 1.0;
            }
        }
        if !granted {
            for (used, limit) in used.iter().zip(limits) {
                shard.present(place, limit.period, now).count = *used;
            }
        }
        Verdict { granted, used }
    }

    /// What the windows hold.
    pub fn read(&self, place: Place, limits: &[Limit], now: i64) -> Used {
        self.shards[place.shard()].lock().used(place, limits, now)
    }

    /// Adds to all windows, whatever they hold.
    pub fn add(&self, place: Place, limits: &[Limit], now: i64, amount: f64) {
        self.shards[place.shard()]
            .lock()
            .add(place, limits, now, amount);
    }
}

impl Shard {
    fn used(&mut self, place: Place, limits: &[Limit], now: i64) -> Used {
        let counts = limits
            .iter()
            .map(|limit| self.present(place, limit.period, now).count);
        super::used(counts)
    }

    fn add(&mut self, place: Place, limits: &[Limit], now: i64, amount: f64) {
        for limit in limits {
            self.present(place, limit.period, now).count += amount;
        }
    }

    /// The counter of the present window.
    fn present(&mut self, place: Place, period: Period, now: i64) -> &mut Counter {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        let empty = || Counter {
            start: period.start(now),
            count: 0.0,
        };
        let name = place.counter(period);
        let counter = match self.young.entry(name) {
            Entry::Occupied(counter) => counter.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(self.old.remove(&name).unwrap_or_else(empty)),
        };
        if !is_present(counter.start, period, now) {
            *counter = empty();
        }
        counter
    }
}

/// Whether a window that began at `start` is the present one. Who read the clock just before it began counts in it as
/// well, and does not bring the last one back.
pub(super) fn is_present(start: i64, period: Period, now: i64) -> bool {
    let own = period.start(now);
    (own..=own.saturating_add(period.length().into())).contains(&start)
}

/// Takes a number that is random already for its hash.
#[derive(Default)]
pub(super) struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        const LOW: u128 = u64::MAX as u128;
        self.0 = u64::try_from(number & LOW).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn limits(second: f64, hour: f64) -> [Limit; 2] {
        let limit = |period, most| Limit { period, most };
        [limit(Period::Second, second), limit(Period::Hour, hour)]
    }

    #[test]
    fn of_many_at_once_exactly_as_many_pass_as_fit() {
        let counters = LocalCounters::default();
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let place = counters.place(&"a");
                        if counters.take(place, &limits(5000.0, 1234.0), NOW).granted {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1234);
    }

    #[test]
    fn a_full_window_leaves_the_others_as_they_are() {
        let counters = LocalCounters::default();
        let place = counters.place(&"a");
        let limits = limits(1.0, 2.5);
        let mut verdicts = Vec::new();
        for now in [NOW, NOW, NOW + 1, NOW + 2, NOW + 3] {
            let verdict = counters.take(place, &limits, now);
            verdicts.push((verdict.granted, verdict.used[0], verdict.used[1]));
        }
        let expected = [
            (true, 0.0, 0.0),
            (false, 1.0, 1.0),
            (true, 0.0, 1.0),
            (true, 0.0, 2.0),
            (false, 0.0, 3.0),
        ];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn who_is_late_by_a_moment_does_not_empty_the_new_window() {
        let counters = LocalCounters::default();
        let place = counters.place(&"a");
        let limits = limits(1.0, 9.0);
        assert!(counters.take(place, &limits, NOW + 1).granted);
        assert!(!counters.take(place, &limits, NOW).granted);
        assert!(!counters.take(place, &limits, NOW + 1).granted);
        assert!(
            counters.take(place, &limits, NOW - 10).granted,
            "the clock was set back"
        );
    }

    #[test]
    fn memory_is_bounded_and_who_is_active_is_remembered() {
        let counters = LocalCounters::default();
        let limits = limits(1.0, 1000.0);
        let active = counters.place(&"active");
        for number in 0..2_000_000 {
            counters.add(counters.place(&number), &limits[1..], NOW, 1.0);
            if number % 10_000 == 0 {
                counters.add(active, &limits[1..], NOW, 1.0);
            }
        }
        let held: usize = counters
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.young.len() + shard.old.len()
            })
            .sum();
        assert!(held <= 2 * SHARDS * GENERATION, "{held}");
        assert_eq!(counters.read(active, &limits[1..], NOW)[0], 200.0);
    }
}
