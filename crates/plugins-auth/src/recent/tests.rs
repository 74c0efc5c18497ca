use std::hash::BuildHasher as _;
use std::sync::Arc;

use super::{Kept, LONGEST, Recent, USES, WAYS};

/// How often what had to go was used.
fn keep(recent: &Recent<u32>, text: &str, stamp: u64, value: u32) -> u32 {
    recent.put(Arc::new(Kept::new(text, stamp, value)))
}

fn value(recent: &Recent<u32>, text: &str, stamp: u64) -> Option<u32> {
    recent.get(text, stamp).map(|kept| **kept)
}

/// How many entries there are.
fn entries(recent: &Recent<u32>) -> usize {
    let entries = |set: &super::Set<u32>| set.0.lock().entries.iter().flatten().count();
    recent.sets.iter().map(entries).sum()
}

#[test]
fn what_was_kept_is_found_by_its_text_alone() {
    let recent = Recent::new(64);
    keep(&recent, "one", 0, 1);
    keep(&recent, "two", 0, 2);
    assert_eq!(value(&recent, "one", 0), Some(1));
    assert_eq!(value(&recent, "two", 0), Some(2));
    assert_eq!(value(&recent, "three", 0), None);
    assert_eq!(value(&recent, "", 0), None);
}

#[test]
fn nothing_holds_under_another_stamp() {
    let recent = Recent::new(64);
    keep(&recent, "one", 1, 1);
    assert_eq!(value(&recent, "one", 2), None);
    assert_eq!(value(&recent, "one", 0), None);
    keep(&recent, "one", 2, 20);
    assert_eq!(value(&recent, "one", 2), Some(20));
    assert_eq!(entries(&recent), 1, "the old one has gone");
}

#[test]
fn an_entry_is_made_anew_now_and_then() {
    let recent = Recent::new(64);
    keep(&recent, "one", 0, 1);
    for _ in 0..USES {
        assert_eq!(value(&recent, "one", 0), Some(1));
    }
    assert_eq!(value(&recent, "one", 0), None);
    assert_eq!(keep(&recent, "one", 0, 1), USES, "the uses are told");
    assert_eq!(value(&recent, "one", 0), Some(1));
    assert_eq!(keep(&recent, "two", 0, 1), 0);
}

#[test]
fn there_are_never_more_entries_than_places() {
    let recent = Recent::new(64);
    for number in 0..10_000 {
        keep(&recent, &format!("text {number}"), 0, number);
        assert_eq!(value(&recent, &format!("text {number}"), 0), Some(number));
    }
    assert_eq!(entries(&recent), 64);
}

#[test]
fn texts_in_the_same_places_displace_each_other_and_nobody_else() {
    let recent = Recent::new(WAYS);
    for number in 0..100 {
        keep(&recent, &number.to_string(), 0, number);
    }
    let found = (0..100).filter(|number| {
        let found = value(&recent, &number.to_string(), 0);
        assert!(found.is_none_or(|found| found == *number));
        found.is_some()
    });
    assert_eq!(found.count(), WAYS);
}

#[test]
fn a_long_text_is_not_kept() {
    let recent = Recent::new(64);
    let long = "x".repeat(LONGEST + 1);
    keep(&recent, &long, 0, 1);
    assert_eq!(value(&recent, &long, 0), None);
    assert_eq!(entries(&recent), 0);
    keep(&recent, &long[1..], 0, 1);
    assert_eq!(value(&recent, &long[1..], 0), Some(1));
}

#[test]
fn two_tables_put_texts_into_places_of_their_own() {
    let [one, other] = [(); 2].map(|()| Recent::<u32>::new(64));
    let hash = |of: &Recent<u32>, number: u64| of.hasher.hash_one(number);
    let differs = (0..64).any(|number| hash(&one, number) != hash(&other, number));
    assert!(differs);
}

#[test]
fn threads_find_what_belongs_to_the_text_or_nothing() {
    let recent = Recent::new(16);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let recent = &recent;
            scope.spawn(move || {
                for number in 0..2000 {
                    let number = (number * 7 + thread) % 100;
                    if let Some(found) = value(recent, &number.to_string(), 0) {
                        assert_eq!(found, number);
                    }
                    keep(recent, &number.to_string(), 0, number);
                }
            });
        }
    });
}
