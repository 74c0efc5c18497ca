//! The log's line about a database that cannot be used: once in a while, however many requests are refused meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stdx::{Clock as _, SystemClock};

/// How long the log is quiet after a line.
const QUIET: Duration = Duration::from_secs(10);

static LINE: Line = Line::new();

/// Says that a request was refused because of the database, unless that was said just now.
pub fn report(reason: &str) {
    if let Some(unsaid) = LINE.due(SystemClock.monotonic()) {
        tracing::error!(unsaid, "requests of the Admin API are refused: {reason}");
    }
}

/// When the line was last written, and how often it was not since then.
struct Line(Mutex<(Option<Instant>, u64)>);

impl Line {
    const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Whether to write the line now; how often it was left out.
    fn due(&self, now: Instant) -> Option<u64> {
        let (last, unsaid) = &mut *self.0.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            *unsaid += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests;
