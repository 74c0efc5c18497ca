use std::time::Duration;

use store::{Changes, Event, EventKind, Version};
use uuid::Uuid;

use super::{Begin, Command, Fault, Machine, Outcome, Source};
use crate::timing::Timing;

const TIMING: Timing = Timing {
    patience: Duration::from_secs(1),
    read: Duration::from_secs(1),
    poll: Duration::from_secs(30),
    retry: (Duration::from_millis(100), Duration::from_secs(1)),
    replica_retry: Duration::from_secs(30),
    compare: (Duration::from_secs(10), Duration::from_secs(600)),
    comparison: Duration::from_secs(10),
    doubt: Duration::from_secs(5),
    belief: Duration::from_secs(60),
    heartbeat: Duration::from_secs(2),
    alive: Duration::from_secs(8),
    forget: Duration::from_secs(3600),
};

fn down() -> Fault {
    Fault::Shared("down".to_owned())
}

/// A machine whose replica is at version 5, after it has published that.
fn published() -> (Machine, Command) {
    let begin = Begin {
        has_replica: true,
        replica: Some((Version(5), None)),
        ..Begin::default()
    };
    let mut machine = Machine::new(begin, TIMING, 1);
    let first = machine.step(Duration::ZERO, Outcome::Done);
    let expected = Command::PublishAll {
        from: Source::Replica,
        at_least: Version(5),
    };
    assert_eq!(first, expected);
    let next = machine.step(Duration::ZERO, Outcome::PublishedAll(Ok(Version(5))));
    (machine, next)
}

fn limit_of(command: &Command) -> Duration {
    match command {
        Command::Wait { limit, .. } => *limit,
        other => panic!("{other:?} is no wait"),
    }
}

#[test]
fn the_replica_is_served_before_the_store_is_asked() {
    let (_, next) = published();
    assert_eq!(next, Command::ReadChanges { since: Version(5) });
}

#[test]
fn pauses_grow_to_a_bound_and_differ_from_node_to_node() {
    let (mut machine, _) = published();
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let waits = machine.step(Duration::ZERO, Outcome::Changes(Err(down())));
        let limit = limit_of(&waits);
        assert!(limit >= Duration::from_millis(50) && limit <= Duration::from_secs(1));
        longest = longest.max(limit);
        machine.step(Duration::ZERO, Outcome::Done);
    }
    assert!(longest > Duration::from_millis(500));
}

#[test]
fn a_record_that_changed_twice_is_fetched_once() {
    let (mut machine, _) = published();
    let event = |version, operation| Event {
        version: Version(version),
        entity: "things".to_owned(),
        id: Uuid::from_u128(1),
        operation,
    };
    let changes = Changes::Events {
        until: Version(7),
        events: vec![event(6, EventKind::Update), event(7, EventKind::Delete)],
    };
    let fetch = machine.step(Duration::ZERO, Outcome::Changes(Ok(changes)));
    let wanted = vec![("things".to_owned(), Uuid::from_u128(1))];
    assert_eq!(fetch, Command::Fetch { wanted });
}

#[test]
fn an_outcome_that_was_not_asked_for_changes_nothing() {
    let (mut machine, _) = published();
    let waits = machine.step(Duration::ZERO, Outcome::Applied(Ok(())));
    limit_of(&waits);
    assert_eq!(machine.published(), Some(Version(5)));
    assert_eq!(machine.replica(), Some(Version(5)));
}

#[test]
fn words_that_lead_to_nothing_do_not_keep_a_node_busy() {
    let (mut machine, _) = published();
    let nothing = || {
        Outcome::Changes(Ok(Changes::Events {
            until: Version(5),
            events: Vec::new(),
        }))
    };
    let mut listens = 0;
    loop {
        let waits = machine.step(Duration::ZERO, nothing());
        let Command::Wait { limit, word_of } = waits else {
            panic!("{waits:?} is no wait");
        };
        if word_of.is_none() {
            assert!(limit >= Duration::from_millis(50));
            break;
        }
        listens += 1;
        assert!(listens < 100, "it listens for ever");
        machine.step(Duration::ZERO, Outcome::Done);
    }
}

#[test]
fn a_replica_of_another_history_is_copied_anew() {
    let begin = Begin {
        has_replica: true,
        replica: Some((Version(5), Some(77))),
        ..Begin::default()
    };
    let mut machine = Machine::new(begin, TIMING, 1);
    machine.step(Duration::ZERO, Outcome::Done);
    let asks = machine.step(Duration::ZERO, Outcome::PublishedAll(Ok(Version(5))));
    assert_eq!(asks, Command::ReadMark { at: Version(5) });
    let copies = machine.step(Duration::ZERO, Outcome::Mark(Ok(Some(78))));
    assert_eq!(copies, Command::Copy);
}

#[test]
fn a_replica_that_lacks_an_entity_is_copied_anew() {
    let begin = Begin {
        has_replica: true,
        replica: Some((Version(5), Some(77))),
        is_partial: true,
        ..Begin::default()
    };
    let mut machine = Machine::new(begin, TIMING, 1);
    machine.step(Duration::ZERO, Outcome::Done);
    let copies = machine.step(Duration::ZERO, Outcome::PublishedAll(Ok(Version(5))));
    assert_eq!(copies, Command::Copy);
}

#[test]
fn a_replica_that_cannot_be_written_delays_nobody() {
    let (mut machine, _) = published();
    let changes = |since: u64| {
        Outcome::Changes(Ok(Changes::Events {
            until: Version(since + 1),
            events: vec![Event {
                version: Version(since + 1),
                entity: "things".to_owned(),
                id: Uuid::from_u128(1),
                operation: EventKind::Update,
            }],
        }))
    };
    machine.step(Duration::ZERO, changes(5));
    let applies = machine.step(Duration::ZERO, Outcome::Fetched(Ok(())));
    assert_eq!(applies, Command::Apply { until: Version(6) });
    let full = Fault::Replica("full".to_owned());
    let publishes = machine.step(Duration::ZERO, Outcome::Applied(Err(full)));
    assert_eq!(publishes, Command::Publish { until: Version(6) });
    machine.step(Duration::ZERO, Outcome::Published(Ok(())));
    assert_eq!(machine.published(), Some(Version(6)));
    assert_eq!(machine.replica(), Some(Version(5)));

    let early = machine.step(Duration::from_secs(1), Outcome::Done);
    assert_eq!(early, Command::ReadChanges { since: Version(6) });
    machine.step(Duration::from_secs(1), Outcome::Changes(Err(down())));
    let later = machine.step(Duration::from_secs(31), Outcome::Done);
    assert_eq!(later, Command::ReadChanges { since: Version(5) });
}

#[test]
fn a_store_without_a_replica_is_published_directly() {
    let mut machine = Machine::new(Begin::default(), TIMING, 1);
    let first = machine.step(Duration::ZERO, Outcome::Done);
    let expected = Command::PublishAll {
        from: Source::Shared,
        at_least: Version(0),
    };
    assert_eq!(first, expected);
    machine.step(Duration::ZERO, Outcome::PublishedAll(Ok(Version(3))));
    let reload = Changes::Reload { from: Version(2) };
    let again = machine.step(Duration::ZERO, Outcome::Changes(Ok(reload)));
    let expected = Command::PublishAll {
        from: Source::Shared,
        at_least: Version(2),
    };
    assert_eq!(again, expected);
}
