//! Pages: order, tokens that survive changes, filters by reference and by tags, the view of all tags.

use serde_json::json;
use uuid::Uuid;

use super::schemas::{children, parents};
use super::{Case, Subject, id_of, record, record_with_id, reference};
use crate::{Error, PageRequest, TagFilter};

pub(super) async fn reads(subject: &dyn Subject) {
    pages_show_each_record_once_in_order_of_id(subject).await;
    pages_of_a_parent(subject).await;
    pages_by_tag(subject).await;
    pages_of_tags(subject).await;
    refuses_tokens_that_it_did_not_give(subject).await;
}

pub(super) async fn cases(subject: &dyn Subject) {
    a_page_token_survives_changes(subject).await;
    tags_follow_their_records(subject).await;
}

fn numbered(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// The numbers of the records on all pages, page by page.
async fn all_pages(
    case: &Case,
    schema: &schema::Schema,
    mut request: PageRequest<'_>,
) -> Vec<Vec<u128>> {
    let mut pages = Vec::new();
    loop {
        let page = case.store.page(schema, &request).await.unwrap();
        pages.push(
            page.records
                .iter()
                .map(|record| id_of(record).as_u128())
                .collect(),
        );
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return pages,
        }
        assert!(pages.len() < 1000, "the pages end");
    }
}

async fn pages_show_each_record_once_in_order_of_id(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let records = [3_u128, 1, 5, 2, 4].map(|n| (parents(), record_with_id(numbered(n), json!({}))));
    subject.fill(&case.store, records.to_vec()).await;
    let pages = async |size| {
        let request = PageRequest {
            size,
            ..Default::default()
        };
        all_pages(&case, parents(), request).await
    };
    assert_eq!(pages(2).await, [vec![1, 2], vec![3, 4], vec![5]]);
    assert_eq!(pages(5).await, [vec![1, 2, 3, 4, 5]]);
    assert_eq!(pages(1000).await, [vec![1, 2, 3, 4, 5]]);
    assert_eq!(pages(0).await.len(), 5, "a page has one record at least");
    let none = PageRequest {
        size: 10,
        ..Default::default()
    };
    assert_eq!(
        all_pages(&case, children(), none).await,
        [Vec::<u128>::new()]
    );
}

async fn pages_of_a_parent(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let one = record(json!({}));
    let two = record(json!({}));
    let mut records = vec![(parents(), one.clone()), (parents(), two.clone())];
    for n in 1..=6 {
        let parent = if n % 2 == 0 { &two } else { &one };
        let child = record_with_id(numbered(n), json!({ "parent": reference(parent) }));
        records.push((children(), child));
    }
    records.push((
        children(),
        record_with_id(numbered(7), json!({ "parent": null })),
    ));
    subject.fill(&case.store, records).await;
    let request = PageRequest {
        size: 2,
        foreign: Some(("parent", id_of(&two))),
        ..Default::default()
    };
    assert_eq!(
        all_pages(&case, children(), request).await,
        [vec![2, 4], vec![6]]
    );
    let request = PageRequest {
        size: 2,
        foreign: Some(("parent", Uuid::nil())),
        ..Default::default()
    };
    assert_eq!(
        all_pages(&case, children(), request).await,
        [Vec::<u128>::new()]
    );
}

async fn pages_by_tag(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let tagged = |n, tags| {
        (
            parents(),
            record_with_id(numbered(n), json!({ "tags": tags })),
        )
    };
    let records = vec![
        tagged(1, json!(["red"])),
        tagged(2, json!(["red", "blue"])),
        tagged(3, json!(["blue", "größe"])),
        tagged(4, json!([])),
        tagged(5, json!(null)),
        tagged(6, json!(["green", "blue", "red"])),
        (
            children(),
            record_with_id(numbered(7), json!({ "tags": ["red"] })),
        ),
    ];
    subject.fill(&case.store, records).await;
    let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let cases = [
        (TagFilter::All(list(&["red"])), vec![1, 2, 6]),
        (TagFilter::All(list(&["red", "blue"])), vec![2, 6]),
        (TagFilter::All(list(&["red", "größe"])), vec![]),
        (TagFilter::Any(list(&["größe", "green"])), vec![3, 6]),
        (TagFilter::Any(list(&["nothing"])), vec![]),
        (TagFilter::Any(list(&[])), vec![1, 2, 3, 4, 5, 6]),
    ];
    for (filter, expected) in cases {
        let request = PageRequest {
            size: 2,
            tags: Some(filter.clone()),
            ..Default::default()
        };
        let pages = all_pages(&case, parents(), request).await;
        assert!(pages.iter().all(|page| page.len() <= 2));
        assert_eq!(pages.concat(), expected, "{filter:?}");
    }
}

async fn pages_of_tags(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let records = vec![
        (
            parents(),
            record_with_id(numbered(2), json!({ "tags": ["b", "a"] })),
        ),
        (
            parents(),
            record_with_id(numbered(3), json!({ "tags": ["a"] })),
        ),
        (
            children(),
            record_with_id(numbered(1), json!({ "tags": ["a"] })),
        ),
        (
            children(),
            record_with_id(numbered(2), json!({ "tags": ["c", "a"] })),
        ),
    ];
    subject.fill(&case.store, records).await;
    let pages = async |tag: Option<&str>| {
        let mut seen = Vec::new();
        let mut request = PageRequest {
            size: 2,
            ..Default::default()
        };
        loop {
            let (rows, offset) = case.store.tags(tag, &request).await.unwrap();
            assert!(rows.len() <= 2);
            let rows = rows
                .into_iter()
                .map(|row| (row.entity_id.as_u128(), row.entity_name, row.tag));
            seen.extend(rows);
            match offset {
                Some(offset) => request.offset = Some(offset),
                None => return seen,
            }
        }
    };
    let row = |id: u128, entity: &str, tag: &str| (id, entity.to_owned(), tag.to_owned());
    assert_eq!(
        pages(Some("a")).await,
        [
            row(1, "children", "a"),
            row(2, "children", "a"),
            row(2, "parents", "a"),
            row(3, "parents", "a")
        ]
    );
    let all = pages(None).await;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by_key(|(id, _, _)| *id));
    assert_eq!(pages(Some("nothing")).await, []);
}

async fn refuses_tokens_that_it_did_not_give(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    subject
        .fill(&case.store, vec![(parents(), record(json!({})))])
        .await;
    let long = "A".repeat(100_000);
    let cases = [
        ("!!", "bad base64 encoding"),
        ("cG90YXRv", "bad json encoding"),
        ("e30=", "bad json encoding"),
        ("WyJ4Il0=", "bad offset key"),
        ("W10=", "bad offset key"),
        (long.as_str(), "too long"),
    ];
    for (token, expected) in cases {
        let request = PageRequest {
            size: 2,
            offset: Some(token.to_owned()),
            ..Default::default()
        };
        let attempts = [
            case.store.page(parents(), &request).await.map(|_| ()),
            case.store.tags(None, &request).await.map(|_| ()),
        ];
        for attempt in attempts {
            match attempt {
                Err(Error::InvalidOffset { offset, reason }) => {
                    assert_eq!((offset.as_str(), reason.as_str()), (token, expected));
                }
                other => panic!("expected a refusal of {token}, got {other:?}"),
            }
        }
    }
}

async fn a_page_token_survives_changes(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    for n in 1..=8 {
        let record = record_with_id(numbered(n * 10), json!({}));
        case.insert(parents(), &record).await.unwrap();
    }
    let request = PageRequest {
        size: 3,
        ..Default::default()
    };
    let first = case.store.page(parents(), &request).await.unwrap();
    let ids: Vec<_> = first.records.iter().map(|r| id_of(r).as_u128()).collect();
    assert_eq!(ids, [10, 20, 30]);
    // The last record of the page goes, one comes before the place and one after it.
    for n in [30, 40] {
        case.delete(parents(), &record_with_id(numbered(n), json!({})))
            .await
            .unwrap();
    }
    for n in [25, 45] {
        case.insert(parents(), &record_with_id(numbered(n), json!({})))
            .await
            .unwrap();
    }
    let request = PageRequest {
        size: 3,
        offset: first.offset,
        ..Default::default()
    };
    assert_eq!(
        all_pages(&case, parents(), request).await,
        [vec![45, 50, 60], vec![70, 80]]
    );
}

async fn tags_follow_their_records(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let id = Uuid::new_v4();
    let with = |tags| record_with_id(id, json!({ "tags": tags }));
    let tags = async || {
        let (rows, _) = case
            .store
            .tags(
                None,
                &PageRequest {
                    size: 100,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        let mut tags: Vec<_> = rows.into_iter().map(|row| row.tag).collect();
        tags.sort_unstable();
        tags
    };
    case.insert(parents(), &with(json!(["a", "b"])))
        .await
        .unwrap();
    assert_eq!(tags().await, ["a", "b"]);
    case.update(parents(), &with(json!(["b", "c"])))
        .await
        .unwrap();
    assert_eq!(tags().await, ["b", "c"]);
    let upsert = crate::Mutation::Upsert(parents(), with(json!(["d"])));
    case.store.commit(&[upsert]).await.unwrap();
    assert_eq!(tags().await, ["d"]);
    case.delete(parents(), &with(json!(null))).await.unwrap();
    assert_eq!(tags().await, Vec::<String>::new());
}
