//! The change feed: complete, in order, and honest about what it no longer knows.

use futures_util::future::join;
use serde_json::json;

use super::schemas::{children, parents};
use super::{Case, Subject, id_of, record, record_with_id, reference};
use crate::{Changes, Event, EventKind, Mutation, Version};

pub(super) async fn cases(subject: &dyn Subject) {
    events_tell_everything_in_order(subject).await;
    a_reader_that_is_too_far_behind_reloads(subject).await;
    waiting_ends_with_a_commit(subject).await;
}

async fn events_after(case: &Case, since: Version) -> (Version, Vec<Event>) {
    match case.store.changes(since).await.unwrap() {
        Changes::Events { until, events } => (until, events),
        Changes::Reload { .. } => panic!("the log reaches back to {since:?}"),
    }
}

async fn events_tell_everything_in_order(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let start = case.store.version().await.unwrap();
    let parent = record(json!({ "name": "p" }));
    let child = record(json!({ "parent": reference(&parent) }));
    let renamed = record_with_id(id_of(&parent), json!({ "name": "q" }));
    let first = [
        Mutation::Insert(parents(), parent.clone()),
        Mutation::Upsert(children(), child.clone()),
    ];
    let first = case.store.commit(&first).await.unwrap();
    let second = [Mutation::Upsert(parents(), renamed.clone())];
    let second = case.store.commit(&second).await.unwrap();
    let third = [
        Mutation::Delete(children(), id_of(&child)),
        Mutation::Delete(parents(), id_of(&parent)),
        Mutation::Delete(parents(), id_of(&record(json!({})))),
    ];
    let third = case.store.commit(&third).await.unwrap();
    assert!(start < first && first < second && second < third);
    assert_eq!(case.store.version().await.unwrap(), third);

    let short = |event: &Event| (event.entity.clone(), event.id, event.operation);
    let said = |entity: &str, record, operation| (entity.to_owned(), id_of(record), operation);
    let expected = [
        said("parents", &parent, EventKind::Create),
        said("children", &child, EventKind::Create),
        said("parents", &parent, EventKind::Update),
        said("children", &child, EventKind::Delete),
        said("parents", &parent, EventKind::Delete),
    ];
    let (until, events) = events_after(&case, start).await;
    assert_eq!(until, third);
    assert!(events.is_sorted_by_key(|event| event.version));
    assert_eq!(events.last().map(|event| event.version), Some(third));
    let told: Vec<_> = events.iter().map(short).collect();
    assert_eq!(told, expected);
    for (since, from) in [(first, 2), (second, 3), (third, 5)] {
        let (until, events) = events_after(&case, since).await;
        assert_eq!(until, third);
        let told: Vec<_> = events.iter().map(short).collect();
        assert_eq!(told, expected[from..]);
    }
}

async fn a_reader_that_is_too_far_behind_reloads(subject: &dyn Subject) {
    let case = Case::with_change_log(subject, 20).await;
    let start = case.store.version().await.unwrap();
    for _ in 0..60 {
        case.insert(parents(), &record(json!({}))).await.unwrap();
    }
    let newest = case.store.version().await.unwrap();
    match case.store.changes(start).await.unwrap() {
        Changes::Reload { from } => assert_eq!(from, newest),
        Changes::Events { .. } => panic!("the log was to be trimmed"),
    }
    let (_, events) = events_after(&case, Version(newest.0 - 10)).await;
    assert_eq!(events.len(), 10);
    // A reader of another history starts over as well.
    match case.store.changes(Version(newest.0 + 1000)).await.unwrap() {
        Changes::Reload { from } => assert_eq!(from, newest),
        Changes::Events { .. } => panic!("nobody has seen the future"),
    }
}

async fn waiting_ends_with_a_commit(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let start = case.store.version().await.unwrap();
    let wait = async {
        let mut seen = start;
        while seen == start {
            case.store.changed(start).await;
            seen = case.store.version().await.unwrap();
        }
        seen
    };
    let new = record(json!({}));
    let (seen, committed) = join(wait, case.insert(parents(), &new)).await;
    assert_eq!(seen, committed.unwrap());
}
