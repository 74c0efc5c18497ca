//! What is known of addresses, without sockets; probes and the prober against real servers are in files of their own.

mod probes;
mod probing;
mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balancer::Address;
use proptest::prelude::*;
use serde_json::{Value, json};
use stdx::ManualClock;
use uuid::Uuid;

use crate::probe::status_of;
use crate::prober::until_common_moment;
use crate::{AddressHealth, Checks, Group, Kind, Observation, Place, Queue, Registry, Thresholds};

const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

fn thresholds(successes: u8, failures: u8) -> Thresholds {
    Thresholds {
        successes,
        http_failures: failures,
        tcp_failures: failures,
        timeouts: failures,
        healthy_statuses: [200, 302].into(),
        unhealthy_statuses: [429, 500, 503].into(),
    }
}

fn registry() -> Registry {
    Registry::new(Arc::new(ManualClock::at(EPOCH)))
}

fn fresh() -> Arc<AddressHealth> {
    let group = registry().group(Uuid::nil(), "u", &passive(1));
    group.health(&[address(1)])[0].clone()
}

fn see(health: &AddressHealth, observation: Observation, thresholds: &Thresholds) -> bool {
    health.observe(observation, thresholds, "test")
}

#[test]
fn an_address_begins_healthy_and_falls_at_the_threshold() {
    let (health, limits) = (fresh(), thresholds(2, 3));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(health.is_healthy());
    assert!(see(&health, Observation::Status(503), &limits));
    assert!(!health.is_healthy());
    let reason = health.reason().unwrap();
    assert_eq!((&*reason.text, reason.since), ("test: status 503", EPOCH));
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let (health, limits) = (fresh(), thresholds(2, 2));
    for _ in 0..10 {
        assert!(!see(&health, Observation::Status(500), &limits));
        assert!(!see(&health, Observation::Status(200), &limits));
    }
    assert!(health.is_healthy());
}

#[test]
fn kinds_of_failures_are_counted_apart() {
    let (health, limits) = (fresh(), thresholds(1, 2));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::TimedOut, &limits));
    assert!(see(&health, Observation::ConnectionFailed, &limits));
}

#[test]
fn an_unhealthy_address_comes_back_after_successes_in_a_row() {
    let (health, limits) = (fresh(), thresholds(2, 1));
    assert!(see(&health, Observation::TimedOut, &limits));
    assert!(!see(&health, Observation::Connected, &limits));
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::Connected, &limits));
    assert!(see(&health, Observation::Connected, &limits));
    assert!(health.is_healthy());
    assert_eq!(health.reason(), None);
}

#[test]
fn a_threshold_of_zero_ignores_and_so_does_a_status_in_no_list() {
    let health = fresh();
    let limits = Thresholds {
        tcp_failures: 0,
        ..thresholds(1, 1)
    };
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::Status(404), &limits));
    assert!(health.is_healthy());
}

#[test]
fn a_mark_by_hand_holds_until_something_contradicts_it() {
    let (health, limits) = (fresh(), thresholds(1, 1));
    health.mark(false);
    assert_eq!(&*health.reason().unwrap().text, "marked unhealthy");
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(see(&health, Observation::Status(200), &limits));
    health.mark(false);
    health.mark(true);
    assert!(health.is_healthy());
}

/// Upstreams that ask equally often are woken at the same moments, whenever they were configured.
#[test]
fn probes_of_many_upstreams_begin_at_common_moments() {
    let step = Duration::from_millis(50);
    let begins =
        |due| due + until_common_moment(Duration::from_millis(due), step).as_millis() as u64;
    assert_eq!([1_001, 1_020, 1_049].map(begins), [1_050; 3]);
    assert_eq!([1_050, 1_099].map(begins), [1_100; 2]);
    assert_eq!(
        until_common_moment(Duration::ZERO, Duration::ZERO),
        Duration::ZERO
    );
}

proptest! {
    /// The verdict is what a naive reading of the rules gives, whatever is observed.
    #[test]
    fn counting_in_one_word_is_counting(
        steps in proptest::collection::vec(0_u8..4, 0..200),
        successes in 0_u8..4,
        failures in 0_u8..4,
    ) {
        let (health, limits) = (fresh(), thresholds(successes, failures));
        let (mut healthy, mut counts) = (true, [0_u8; 4]);
        for step in steps {
            let observation = [
                Observation::Status(200),
                Observation::Status(500),
                Observation::ConnectionFailed,
                Observation::TimedOut,
            ][usize::from(step)];
            let limit = if step == 0 { successes } else { failures };
            if limit > 0 {
                match (healthy, step) {
                    (true, 0) => counts = [0; 4],
                    (false, 1..) => counts[0] = 0,
                    _ => counts[usize::from(step)] += 1,
                }
                if counts[usize::from(step)] >= limit {
                    (healthy, counts) = (!healthy, [0; 4]);
                }
            }
            see(&health, observation, &limits);
            prop_assert_eq!(health.is_healthy(), healthy);
        }
    }

    #[test]
    fn no_status_line_is_too_strange(line in proptest::collection::vec(any::<u8>(), 0..64)) {
        let status = status_of(&line);
        prop_assert!(status.is_none_or(|status| (100..=999).contains(&status)));
    }
}

#[test]
fn the_settings_are_read_as_kong_fills_them_in() {
    let checks = Checks::read(&json!({
        "threshold": 25.5,
        "active": {
            "type": "https", "http_path": "/up", "timeout": 0.5, "concurrency": 3, "https_sni": "a.test",
            "https_verify_certificate": false, "headers": {"x-a": ["1", "2\r\nx-b: 3"]},
            "healthy": {"interval": 0.5, "successes": 2, "http_statuses": [200]},
            "unhealthy": {"interval": 0, "http_failures": 255, "http_statuses": [500]},
        },
        "passive": {"unhealthy": {"timeouts": 7}},
    }));
    let active = &checks.active;
    assert_eq!(
        (active.kind, &*active.path, active.concurrency),
        (Kind::Https, "/up", 3)
    );
    assert_eq!(active.timeout, Duration::from_millis(500));
    assert_eq!(active.healthy_interval, Some(Duration::from_millis(500)));
    assert_eq!(active.unhealthy_interval, None);
    assert_eq!(active.headers, [("x-a".into(), "1".into())]);
    assert_eq!(
        (active.thresholds.successes, active.thresholds.http_failures),
        (2, 255)
    );
    assert_eq!((checks.passive.timeouts, checks.threshold), (7, 25.5));
    assert!(checks.is_on());
    assert!(!Checks::read(&Value::Null).is_on());
    assert!(!Checks::read(&json!({"passive": {"healthy": {"successes": 1}}})).is_on());
}

fn address(port: u16) -> Address {
    Address {
        target: "a.test".into(),
        target_port: port,
        host: "127.0.0.1".into(),
        record: "127.0.0.1".into(),
        port,
        weight: 100,
    }
}

fn passive(failures: u8) -> Arc<Value> {
    Arc::new(json!({"passive": {"unhealthy": {"http_failures": failures}}}))
}

fn is_healthy(group: &Group, port: u16) -> bool {
    group.health(&[address(port)])[0].is_healthy()
}

#[test]
fn what_is_known_survives_a_change_of_the_settings_and_of_weights() {
    let (registry, id) = (registry(), Uuid::new_v4());
    let before = registry.group(id, "u", &passive(1));
    before.health(&[address(1)])[0].mark(false);
    let after = registry.group(id, "u", &passive(5));
    assert!(!is_healthy(&after, 1));
    let heavier = Address {
        weight: 7,
        ..address(1)
    };
    assert!(!after.health(&[heavier])[0].is_healthy());
    assert_ne!(before.turns(), 0);
    assert_eq!(before.turns(), after.turns());
}

#[test]
fn verdicts_are_forgotten_once_health_checks_have_been_off_for_a_while() {
    let clock = Arc::new(ManualClock::at(EPOCH));
    let registry = Registry::new(clock.clone());
    let id = Uuid::new_v4();
    let turn = |failures| registry.group(id, "u", &passive(failures));
    turn(1).health(&[address(1)])[0].mark(false);
    turn(0);
    clock.advance(Duration::from_secs(299));
    assert!(!is_healthy(&turn(1), 1));
    turn(0);
    clock.advance(Duration::from_secs(200));
    // Another change without checks begins no new time.
    registry.group(id, "u", &Arc::new(json!({"threshold": 1})));
    clock.advance(Duration::from_secs(100));
    assert!(is_healthy(&turn(1), 1));
}

#[test]
fn an_upstream_that_goes_while_checks_are_off_is_known_for_no_longer() {
    let clock = Arc::new(ManualClock::at(EPOCH));
    let registry = Registry::new(clock.clone());
    for (gone_after, healthy) in [(299, false), (301, true)] {
        let id = Uuid::new_v4();
        let group = registry.group(id, "u", &passive(1));
        group.health(&[address(1)])[0].mark(false);
        registry.group(id, "u", &passive(0));
        clock.advance(Duration::from_secs(gone_after));
        registry.retain(|_| false);
        let anew = registry.group(Uuid::new_v4(), "u", &passive(1));
        assert_eq!(is_healthy(&anew, 1), healthy);
        registry.retain(|_| false);
        clock.advance(Duration::from_secs(301));
        registry.retain(|_| false);
    }
}

#[test]
fn an_address_that_is_gone_is_forgotten() {
    let group = registry().group(Uuid::new_v4(), "u", &passive(1));
    for port in [1, 2] {
        group.health(&[address(port)])[0].mark(false);
    }
    group.retain(&[address(2)]);
    assert_eq!(
        (is_healthy(&group, 1), is_healthy(&group, 2)),
        (true, false)
    );
}

#[test]
fn an_upstream_of_the_same_name_goes_on_with_what_is_known_for_a_while() {
    let clock = Arc::new(ManualClock::at(EPOCH));
    let registry = Registry::new(clock.clone());
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let down = |group: &Group| group.health(&[address(1)])[0].mark(false);
    down(&registry.group(first, "u", &passive(1)));
    registry.retain(|id| id != first);
    clock.advance(Duration::from_secs(299));
    assert!(!is_healthy(&registry.group(second, "u", &passive(2)), 1));
    assert!(is_healthy(&registry.group(first, "v", &passive(1)), 1));
    registry.retain(|_| false);
    clock.advance(Duration::from_secs(301));
    registry.retain(|_| false);
    assert!(is_healthy(&registry.group(first, "u", &passive(1)), 1));
}

#[test]
fn a_namesake_may_come_before_the_old_one_is_said_to_be_gone() {
    let registry = registry();
    let group = registry.group(Uuid::new_v4(), "u", &passive(1));
    group.health(&[address(1)])[0].mark(false);
    assert!(!is_healthy(
        &registry.group(Uuid::new_v4(), "u", &passive(1)),
        1
    ));
}

#[test]
fn the_latest_mark_counts_in_whatever_order_marks_arrive() {
    let clock = Arc::new(ManualClock::at(EPOCH));
    let node = || {
        let registry = Registry::new(clock.clone());
        let group = registry.group(Uuid::nil(), "u", &passive(1));
        group.health(&[address(1)])[0].clone()
    };
    let (here, there) = (node(), node());
    let marks = [here.mark(false), here.mark(true), here.mark(false)];
    for mark in [marks[2], marks[0], marks[1], marks[2]] {
        there.take_over(mark);
    }
    assert!(!there.is_healthy());
    assert!(!there.take_over(marks[2]), "it is not news");
    // Who knows a mark gives later ones, whatever its own clock says.
    let back = there.mark(true);
    assert!(here.take_over(back) && here.is_healthy());
}

#[test]
fn a_mark_holds_until_traffic_contradicts_it() {
    let (health, limits) = (fresh(), thresholds(1, 1));
    let mark = health.mark(false);
    assert_eq!(health.marked(), Some(mark));
    assert!(see(&health, Observation::Status(200), &limits));
    assert_eq!(health.marked(), None);
    assert!(!health.take_over(mark), "an old mark changes nothing again");
}

#[test]
fn an_address_that_recovers_or_joins_begins_slowly() {
    const SLOW: Duration = Duration::from_secs(10);
    let clock = Arc::new(ManualClock::at(EPOCH + Duration::from_secs(1)));
    let registry = Registry::new(clock.clone());
    let group = registry.group(Uuid::nil(), "u", &passive(1));
    let old = group.health(&[address(1)])[0].clone();
    assert_eq!(old.part(SLOW), 1.0, "the first addresses begin together");
    let new = group.health(&[address(1), address(2)])[1].clone();
    assert_eq!((old.part(SLOW), new.part(SLOW)), (1.0, 0.0));
    clock.advance(Duration::from_secs(5));
    assert_eq!(new.part(SLOW), 0.5);
    old.mark(false);
    old.mark(true);
    clock.advance(Duration::from_secs(5));
    assert_eq!((old.part(SLOW), new.part(SLOW)), (0.5, 1.0));
    clock.advance(Duration::from_secs(5));
    assert_eq!(old.part(SLOW), 1.0);
}

#[test]
fn the_tries_of_all_workers_are_summed() {
    let health = fresh();
    health.tally(1).count(Observation::Status(200));
    health.tally(2).count(Observation::Status(500));
    health.tally(2).count(Observation::ConnectionFailed);
    assert!(Arc::ptr_eq(&health.tally(2), &health.tally(2)));
    assert_eq!(health.traffic(), [2, 1, 0, 0]);
}

#[tokio::test]
async fn who_waits_for_a_place_gets_the_one_that_is_given_up() {
    let (health, queue) = (fresh(), Arc::new(Queue::default()));
    let place = Place::take(&health, &queue, 1).unwrap();
    assert!(!health.has_room(1) && Place::take(&health, &queue, 1).is_none());
    let waiting = queue.enter(1).unwrap();
    assert!(queue.enter(1).is_none(), "the queue is full");
    let room = waiting.room();
    drop(place);
    room.await;
    assert!(health.has_room(1));
    drop(waiting);
    assert!(queue.is_empty());
}
