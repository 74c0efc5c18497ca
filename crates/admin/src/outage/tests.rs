use std::time::{Duration, SystemTime};

use stdx::{Clock as _, ManualClock};

use super::*;

#[test]
fn refusals_in_quick_succession_are_one_line_that_counts_the_others() {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let line = Line::new();
    assert_eq!(line.due(clock.monotonic()), Some(0));
    for _ in 0..1_000 {
        assert_eq!(line.due(clock.monotonic()), None);
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(line.due(clock.monotonic()), Some(1_000));
    assert_eq!(line.due(clock.monotonic()), None);
}
