//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until something holds, and fails if it never does.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        // Between two looks the processor belongs to the node.
        std::thread::park_timeout(LOOK);
    }
}
