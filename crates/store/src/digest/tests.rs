use serde_json::json;

use super::{Digest, checksum};
use schema::Record;

fn record(value: serde_json::Value) -> Record {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn order_of_records_and_of_members_does_not_count() {
    let one = record(json!({"id": "a", "config": {"x": 1, "y": [1, 2]}}));
    let same = record(json!({"config": {"y": [1, 2], "x": 1}, "id": "a", "added": null}));
    let other = record(json!({"id": "b"}));
    assert_eq!(checksum(&one), checksum(&same));
    let mut forward = Digest::default();
    forward.add(&one);
    forward.add(&other);
    let mut backward = Digest::default();
    backward.add(&other);
    backward.add(&same);
    assert_eq!(forward, backward);
    backward.remove(&other);
    assert_ne!(forward, backward);
}

#[test]
fn time_that_passes_does_not_count() {
    let young = record(json!({"id": "a", "ttl": 60}));
    let old = record(json!({"id": "a", "ttl": 1}));
    let other = record(json!({"id": "a", "config": {"ttl": 1}}));
    assert_eq!(checksum(&young), checksum(&old));
    assert_ne!(checksum(&young), checksum(&other));
}

#[test]
fn where_a_value_ends_counts() {
    let joined = record(json!({"id": "a", "tags": ["ab", "c"]}));
    let split = record(json!({"id": "a", "tags": ["a", "bc"]}));
    let text = record(json!({"id": "a", "tags": ["1"]}));
    let number = record(json!({"id": "a", "tags": [1]}));
    assert_ne!(checksum(&joined), checksum(&split));
    assert_ne!(checksum(&text), checksum(&number));
}
