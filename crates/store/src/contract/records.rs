//! Single records: what is written is read, uniqueness, time to live, atomic commits.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::schemas::{parents, tokens};
use super::{Case, Subject, complete, id_of, record, record_with_id};
use crate::{Error, Key, Mutation};

pub(super) async fn reads(subject: &dyn Subject) {
    reads_back_what_was_written(subject).await;
    finds_by_unique_fields(subject).await;
    finds_many_at_once(subject).await;
}

pub(super) async fn cases(subject: &dyn Subject) {
    refuses_a_taken_id(subject).await;
    refuses_a_taken_value(subject).await;
    any_number_of_records_may_lack_a_unique_value(subject).await;
    updates_replace_the_whole_record(subject).await;
    replaces_only_what_was_read(subject).await;
    upserts_insert_or_replace(subject).await;
    a_commit_is_all_or_nothing(subject).await;
    concurrent_writers_get_what_they_were_told(subject).await;
    records_expire(subject).await;
    truncate_removes_everything(subject).await;
    refuses_numbers_that_no_column_holds(subject).await;
}

async fn reads_back_what_was_written(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let big = "x".repeat(1 << 20);
    let written = [
        record(json!({})),
        record(json!({
            "name": "all kinds", "note": "", "count": -1, "ratio": 0.1, "flag": false,
            "list": ["b", "a", "b"], "map": {"k": "v", "": "empty key"}, "options": {"deep": null},
        })),
        record(json!({
            "name": "größe 猫 \u{1F98D} \"'; DROP TABLE parents; --", "note": "line\nline\ttab \u{1}",
            "count": i64::MAX, "ratio": 1_700_000_000.123, "flag": true, "list": [], "map": {},
        })),
        record(json!({ "name": "big", "note": big, "count": i64::MIN, "ratio": -3 })),
    ];
    let records = written.iter().map(|r| (parents(), r.clone())).collect();
    subject.fill(&case.store, records).await;
    for record in &written {
        case.assert_stored(parents(), record).await;
    }
    assert_eq!(case.get(parents(), &record(json!({}))).await, None);
    case.store.ping().await.unwrap();
}

async fn finds_by_unique_fields(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let one = record(json!({ "name": "one", "other": "1" }));
    let two = record(json!({ "name": "two" }));
    subject
        .fill(
            &case.store,
            vec![(parents(), one.clone()), (parents(), two)],
        )
        .await;
    let find = async |field, value| {
        let found = case.store.get(parents(), Key::Unique(field, value)).await;
        found.unwrap().map(|found| found["id"].clone())
    };
    assert_eq!(find("name", "one").await, Some(one["id"].clone()));
    assert_eq!(find("other", "1").await, Some(one["id"].clone()));
    assert_eq!(find("name", "ONE").await, None);
    assert_eq!(find("name", "").await, None);
}

async fn finds_many_at_once(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let written: Vec<_> = (0..2500)
        .map(|n| record(json!({ "name": format!("n{n}") })))
        .collect();
    let records = written.iter().map(|r| (parents(), r.clone())).collect();
    subject.fill(&case.store, records).await;
    assert_eq!(case.store.get_many(parents(), &[]).await.unwrap(), []);
    let wanted: Vec<_> = written.iter().step_by(2).map(id_of).collect();
    let absent = [Uuid::nil(), Uuid::new_v4()];
    let asked: Vec<_> = absent.into_iter().chain(wanted.clone()).collect();
    let mut found = case.store.get_many(parents(), &asked).await.unwrap();
    found.sort_by_key(id_of);
    let mut expected: Vec<_> = written
        .iter()
        .step_by(2)
        .map(|record| complete(parents(), record))
        .collect();
    expected.sort_by_key(id_of);
    assert_eq!(found, expected);
}

async fn refuses_a_taken_id(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let first = record(json!({ "name": "first" }));
    case.insert(parents(), &first).await.unwrap();
    let second = record_with_id(id_of(&first), json!({ "name": "first" }));
    match case.insert(parents(), &second).await {
        Err(Error::PrimaryKeyViolation { id }) => assert_eq!(id, id_of(&first)),
        other => panic!("expected a taken id, got {other:?}"),
    }
    case.assert_stored(parents(), &first).await;
}

async fn refuses_a_taken_value(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let first = record(json!({ "name": "first" }));
    let second = record(json!({ "name": "second" }));
    case.insert(parents(), &first).await.unwrap();
    case.insert(parents(), &second).await.unwrap();
    let third = record(json!({ "name": "second" }));
    let renamed = record_with_id(id_of(&second), json!({ "name": "first" }));
    let upsert = Mutation::Upsert(parents(), renamed.clone());
    let attempts = [
        (case.insert(parents(), &third).await, "second"),
        (case.update(parents(), &renamed).await, "first"),
        (case.store.commit(&[upsert]).await, "first"),
    ];
    for (attempt, name) in attempts {
        match attempt {
            Err(Error::UniqueViolation { fields }) => {
                assert_eq!(Value::Object(fields), json!({ "name": name }));
            }
            other => panic!("expected a taken name, got {other:?}"),
        }
    }
    case.assert_stored(parents(), &second).await;
    assert_eq!(case.get(parents(), &third).await, None);

    // A name is free again once its record is renamed or gone.
    let renamed = record_with_id(id_of(&first), json!({ "name": "renamed" }));
    case.update(parents(), &renamed).await.unwrap();
    let takes_over = record(json!({ "name": "first" }));
    case.insert(parents(), &takes_over).await.unwrap();
    case.delete(parents(), &takes_over).await.unwrap();
    case.insert(parents(), &record(json!({ "name": "first" })))
        .await
        .unwrap();
}

async fn any_number_of_records_may_lack_a_unique_value(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    for name in [json!(null), json!(null), json!("named")] {
        let record = record(json!({ "name": name, "other": null }));
        case.insert(parents(), &record).await.unwrap();
    }
}

async fn updates_replace_the_whole_record(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let first = record(json!({ "name": "n", "note": "old", "count": 1 }));
    case.insert(parents(), &first).await.unwrap();
    let second = record_with_id(id_of(&first), json!({ "name": "n", "flag": true }));
    case.update(parents(), &second).await.unwrap();
    case.assert_stored(parents(), &second).await;
    let missing = record(json!({}));
    let attempt = case.update(parents(), &missing).await;
    assert!(matches!(attempt, Err(Error::NotFound)), "{attempt:?}");
}

async fn replaces_only_what_was_read(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let read = record(json!({ "name": "n", "count": 1, "list": ["a"], "ratio": 0.5 }));
    case.insert(parents(), &read).await.unwrap();
    let changed = |count: i64| record_with_id(id_of(&read), json!({ "name": "n", "count": count }));
    let replace = |stored: &schema::Record, count: i64| Mutation::Replace {
        schema: parents(),
        stored: stored.clone(),
        record: changed(count),
    };
    case.store.commit(&[replace(&read, 2)]).await.unwrap();
    let attempt = case.store.commit(&[replace(&read, 3)]).await;
    assert!(matches!(attempt, Err(Error::Conflict)), "{attempt:?}");
    case.assert_stored(parents(), &changed(2)).await;
    case.store.commit(&[replace(&changed(2), 3)]).await.unwrap();
    case.delete(parents(), &read).await.unwrap();
    let attempt = case.store.commit(&[replace(&changed(3), 4)]).await;
    assert!(matches!(attempt, Err(Error::NotFound)), "{attempt:?}");
}

async fn upserts_insert_or_replace(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let first = record(json!({ "name": "n", "note": "old" }));
    let second = record_with_id(id_of(&first), json!({ "name": "m" }));
    for record in [&first, &second, &second] {
        let upsert = Mutation::Upsert(parents(), record.clone());
        case.store.commit(&[upsert]).await.unwrap();
        case.assert_stored(parents(), record).await;
    }
}

async fn a_commit_is_all_or_nothing(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let kept = record(json!({ "name": "kept", "tags": ["t"] }));
    let before = case.insert(parents(), &kept).await.unwrap();
    let new = record(json!({ "name": "new", "tags": ["t"] }));
    let mutations = [
        Mutation::Insert(parents(), new.clone()),
        Mutation::Delete(parents(), id_of(&kept)),
        Mutation::Update(parents(), record(json!({}))),
    ];
    let attempt = case.store.commit(&mutations).await;
    assert!(matches!(attempt, Err(Error::NotFound)), "{attempt:?}");
    assert_eq!(case.get(parents(), &new).await, None);
    case.assert_stored(parents(), &kept).await;
    assert_eq!(case.store.version().await.unwrap(), before);

    // Within one commit, later mutations see the earlier ones.
    let mutations = [
        Mutation::Delete(parents(), id_of(&kept)),
        Mutation::Insert(parents(), record(json!({ "name": "kept" }))),
        Mutation::Insert(parents(), new.clone()),
        Mutation::Delete(parents(), id_of(&new)),
    ];
    case.store.commit(&mutations).await.unwrap();
    assert_eq!(case.get(parents(), &kept).await, None);
    assert_eq!(case.get(parents(), &new).await, None);
    case.store.commit(&[]).await.unwrap();
}

async fn concurrent_writers_get_what_they_were_told(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let records: Vec<_> = (0..100)
        .map(|n| record(json!({ "name": format!("contested {}", n % 50), "count": n })))
        .collect();
    let writes = records.iter().map(|record| case.insert(parents(), record));
    let results = join_all(writes).await;
    let mut winners = 0;
    for (record, result) in records.iter().zip(results) {
        match result {
            Ok(_) => {
                winners += 1;
                case.assert_stored(parents(), record).await;
            }
            Err(Error::UniqueViolation { .. }) => {
                assert_eq!(case.get(parents(), record).await, None);
            }
            Err(error) => panic!("unexpected: {error:?}"),
        }
    }
    assert_eq!(winners, 50);
}

async fn records_expire(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let token = record(json!({ "name": "short", "ttl": 10 }));
    let lasting = record(json!({ "name": "lasting" }));
    case.insert(tokens(), &token).await.unwrap();
    case.insert(tokens(), &lasting).await.unwrap();
    case.clock.advance(Duration::from_secs(4));
    let seen = case.get(tokens(), &token).await.unwrap();
    assert_eq!(seen["ttl"], 6, "a record counts down");
    assert_eq!(case.get(tokens(), &lasting).await.unwrap().get("ttl"), None);
    case.clock.advance(Duration::from_secs(6));
    assert_eq!(case.get(tokens(), &token).await, None);
    let by_name = Key::Unique("name", "short");
    assert_eq!(case.store.get(tokens(), by_name).await.unwrap(), None);
    let request = crate::PageRequest {
        size: 10,
        ..Default::default()
    };
    let page = case.store.page(tokens(), &request).await.unwrap();
    assert_eq!(page.records.len(), 1);
    // What expired holds neither its id nor its name.
    case.insert(tokens(), &token).await.unwrap();
    assert!(case.get(tokens(), &token).await.is_some());
}

async fn truncate_removes_everything(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    for _ in 0..10 {
        let record = record(json!({ "tags": ["t"] }));
        case.insert(parents(), &record).await.unwrap();
    }
    let last = record_with_id(Uuid::max(), json!({}));
    let mutations = [
        Mutation::Truncate(parents()),
        Mutation::Insert(parents(), last.clone()),
    ];
    case.store.commit(&mutations).await.unwrap();
    let request = crate::PageRequest {
        size: 100,
        ..Default::default()
    };
    let page = case.store.page(parents(), &request).await.unwrap();
    assert_eq!(page.records.len(), 1);
    let (tags, _) = case.store.tags(None, &request).await.unwrap();
    assert_eq!(tags, []);
}

async fn refuses_numbers_that_no_column_holds(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let written = record(json!({ "count": 1.5e23 }));
    match case.insert(parents(), &written).await {
        Err(Error::OutOfRange { field, .. }) => assert_eq!(field, "count"),
        other => panic!("expected a number out of range, got {other:?}"),
    }
    assert_eq!(case.get(parents(), &written).await, None);
}
