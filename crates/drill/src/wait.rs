//! Waiting, for a time or for a condition.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Lets time pass; a fault lasts for a while.
pub fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// How long it took until something held, `None` if it did not within `limit`.
pub fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > limit {
            return None;
        }
        std::thread::park_timeout(LOOK);
    }
    Some(start.elapsed())
}
