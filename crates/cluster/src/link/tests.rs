use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stdx::ManualClock;

use super::Link;

#[test]
fn whoever_could_not_report_during_an_outage_is_given_time() {
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let link = Link::new(clock.clone());
    let seconds = Duration::from_secs;
    link.answered();
    assert_eq!(link.leniency(seconds(8)), Duration::ZERO);
    clock.advance(seconds(300));
    link.failed("gone");
    clock.advance(seconds(10));
    link.answered();
    link.answered();
    assert_eq!(link.leniency(seconds(8)), seconds(310));
    clock.advance(seconds(7));
    assert_eq!(link.leniency(seconds(8)), seconds(317));
    clock.advance(seconds(1));
    assert_eq!(link.leniency(seconds(8)), Duration::ZERO);
}
