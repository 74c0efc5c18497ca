//! The list against a sorted vector.

use proptest::prelude::*;

use super::*;

impl HasRank for u32 {
    type Rank = u32;

    fn rank(&self) -> u32 {
        *self
    }
}

proptest! {
    #[test]
    fn stays_sorted_and_complete(steps in proptest::collection::vec((any::<bool>(), 0u32..400), 0..900)) {
        let mut list = None;
        let mut model: Vec<u32> = Vec::new();
        for (insert, value) in steps {
            if insert {
                Ranked::insert(&mut list, value);
                model.push(value);
            } else {
                Ranked::remove(&mut list, value);
                model.retain(|v| *v != value);
            }
        }
        model.sort_unstable_by(|a, b| b.cmp(a));
        let found: Vec<u32> = list.iter().flat_map(Ranked::iter).copied().collect();
        prop_assert_eq!(list.as_ref().map_or(0, Ranked::len), model.len());
        prop_assert_eq!(found, model);
    }
}
