//! References: missing parents, deletes that are refused, deletes that cascade, keys over several fields.

use serde_json::{Value, json};

use super::schemas::{children, dependents, guards, leaves, parents};
use super::{Case, Subject, id_of, record, record_with_id, reference};
use crate::{Changes, Error, EventKind, Key, Mutation};

pub(super) async fn cases(subject: &dyn Subject) {
    refuses_a_reference_to_nothing(subject).await;
    refuses_to_delete_what_is_referenced(subject).await;
    deletes_what_cascades(subject).await;
    a_restriction_below_a_cascade_holds(subject).await;
    fields_are_unique_together(subject).await;
    finds_within_a_parent(subject).await;
}

async fn refuses_a_reference_to_nothing(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({}));
    let child = record(json!({ "parent": reference(&parent) }));
    let attempt = case.insert(children(), &child).await;
    match attempt {
        Err(Error::MissingReference {
            entity,
            field,
            reference,
            value,
        }) => {
            assert_eq!((entity.as_str(), field.as_str()), ("children", "parent"));
            assert_eq!(
                (reference.as_str(), value.as_str()),
                ("parents", parent["id"].as_str().unwrap())
            );
        }
        other => panic!("expected a missing reference, got {other:?}"),
    }
    let free = record_with_id(id_of(&child), json!({ "parent": null }));
    case.insert(children(), &free).await.unwrap();
    let attempt = case.update(children(), &child).await;
    assert!(
        matches!(attempt, Err(Error::MissingReference { .. })),
        "{attempt:?}"
    );
    case.assert_stored(children(), &free).await;

    let together = [
        Mutation::Insert(parents(), parent.clone()),
        Mutation::Update(children(), child.clone()),
    ];
    case.store.commit(&together).await.unwrap();
    case.assert_stored(children(), &child).await;
}

async fn refuses_to_delete_what_is_referenced(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({}));
    let child = record(json!({ "parent": reference(&parent) }));
    case.insert(parents(), &parent).await.unwrap();
    case.insert(children(), &child).await.unwrap();
    let truncate = Mutation::Truncate(parents());
    let attempts = [
        case.delete(parents(), &parent).await,
        case.store.commit(&[truncate]).await,
    ];
    for attempt in attempts {
        match attempt {
            Err(Error::StillReferenced {
                entity,
                referenced_by,
            }) => {
                assert_eq!(
                    (entity.as_str(), referenced_by.as_str()),
                    ("parents", "children")
                );
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    case.assert_stored(parents(), &parent).await;
    case.delete(children(), &child).await.unwrap();
    case.delete(parents(), &parent).await.unwrap();
    case.delete(parents(), &parent).await.unwrap();
}

async fn deletes_what_cascades(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({}));
    let kept = record(json!({}));
    let dependent = record(json!({ "parent": reference(&parent), "kind": "a" }));
    let leaf = record(json!({ "dependent": reference(&dependent), "tags": ["t"] }));
    let other = record(json!({ "parent": reference(&kept), "kind": "a" }));
    case.insert(parents(), &parent).await.unwrap();
    case.insert(parents(), &kept).await.unwrap();
    case.insert(dependents(), &dependent).await.unwrap();
    case.insert(dependents(), &other).await.unwrap();
    let before = case.insert(leaves(), &leaf).await.unwrap();
    let after = case.delete(parents(), &parent).await.unwrap();
    assert_eq!(case.get(dependents(), &dependent).await, None);
    assert_eq!(case.get(leaves(), &leaf).await, None);
    case.assert_stored(dependents(), &other).await;

    let Changes::Events { until, events } = case.store.changes(before).await.unwrap() else {
        panic!("the log reaches back");
    };
    assert_eq!(until, after);
    let mut deleted: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.operation, EventKind::Delete);
            (event.entity.as_str(), event.id)
        })
        .collect();
    deleted.sort_unstable();
    let mut expected = [
        ("dependents", id_of(&dependent)),
        ("leaves", id_of(&leaf)),
        ("parents", id_of(&parent)),
    ];
    expected.sort_unstable();
    assert_eq!(deleted, expected);
    let (tags, _) = case.store.tags(None, &Default::default()).await.unwrap();
    assert_eq!(tags, []);
}

async fn a_restriction_below_a_cascade_holds(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({}));
    let dependent = record(json!({ "parent": reference(&parent), "kind": "a" }));
    let guard = record(json!({ "dependent": reference(&dependent) }));
    case.insert(parents(), &parent).await.unwrap();
    case.insert(dependents(), &dependent).await.unwrap();
    case.insert(guards(), &guard).await.unwrap();
    match case.delete(parents(), &parent).await {
        Err(Error::StillReferenced {
            entity,
            referenced_by,
        }) => {
            assert_eq!(
                (entity.as_str(), referenced_by.as_str()),
                ("dependents", "guards")
            );
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    case.assert_stored(dependents(), &dependent).await;
}

async fn fields_are_unique_together(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({}));
    case.insert(parents(), &parent).await.unwrap();
    let of_parent = |kind: &str| record(json!({ "parent": reference(&parent), "kind": kind }));
    let orphan = |kind: &str| record(json!({ "parent": null, "kind": kind }));
    for dependent in [of_parent("a"), of_parent("b"), orphan("a"), orphan("b")] {
        case.insert(dependents(), &dependent).await.unwrap();
    }
    let clashes = [
        (
            of_parent("a"),
            json!({ "parent": reference(&parent), "kind": "a" }),
        ),
        (orphan("b"), json!({ "parent": null, "kind": "b" })),
    ];
    for (dependent, expected) in clashes {
        match case.insert(dependents(), &dependent).await {
            Err(Error::UniqueViolation { fields }) => assert_eq!(Value::Object(fields), expected),
            other => panic!("expected a clash, got {other:?}"),
        }
    }
}

async fn finds_within_a_parent(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let one = record(json!({}));
    let two = record(json!({}));
    case.insert(parents(), &one).await.unwrap();
    case.insert(parents(), &two).await.unwrap();
    let wanted = record(json!({ "parent": reference(&two), "kind": "a" }));
    for dependent in [
        record(json!({ "parent": reference(&one), "kind": "a" })),
        wanted.clone(),
    ] {
        case.insert(dependents(), &dependent).await.unwrap();
    }
    let find = async |kind| {
        let key = Key::Within {
            foreign: ("parent", id_of(&two)),
            field: ("kind", kind),
        };
        case.store.get(dependents(), key).await.unwrap()
    };
    assert_eq!(find("a").await, Some(wanted.clone()));
    assert_eq!(find("b").await, None);
}
