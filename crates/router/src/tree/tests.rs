//! The tree against an ordinary map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn short_key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'/')], 0..6)
}

proptest! {
    #[test]
    fn agrees_with_a_map_after_any_updates(
        updates in proptest::collection::vec((short_key(), proptest::option::of(0u32..100)), 0..60),
        probes in proptest::collection::vec(short_key(), 0..20),
    ) {
        let mut tree = Tree::default();
        let mut map = BTreeMap::new();
        let mut kept = Vec::new();
        for (key, value) in updates {
            kept.push((tree.clone(), map.clone()));
            tree.update(&key, |slot| *slot = value);
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        kept.push((tree, map));
        for (tree, map) in kept {
            prop_assert_eq!(tree.is_empty(), map.is_empty());
            for probe in &probes {
                prop_assert_eq!(tree.get(Forward(probe)), map.get(probe));
                let reversed: Vec<u8> = probe.iter().rev().copied().collect();
                prop_assert_eq!(tree.get(Backward(&reversed)), map.get(probe));
                let mut found = Vec::new();
                tree.visit_prefixes(Forward(probe), |length, value| found.push((length, *value)));
                let expected: Vec<_> = (0..=probe.len())
                    .filter_map(|n| map.get(&probe[..n]).map(|value| (n, *value)))
                    .collect();
                prop_assert_eq!(&found, &expected);
                let mut from_the_end = Vec::new();
                tree.visit_prefixes(Backward(&reversed), |length, value| from_the_end.push((length, *value)));
                prop_assert_eq!(&from_the_end, &expected);
            }
        }
    }
}

#[test]
fn an_update_leaves_earlier_clones_alone() {
    let mut tree = Tree::default();
    tree.update(b"/a", |slot| *slot = Some(1));
    let before = tree.clone();
    tree.update(b"/a", |slot| *slot = Some(2));
    tree.update(b"/ab", |slot| *slot = Some(3));
    assert_eq!(before.get(Forward(b"/a")), Some(&1));
    assert_eq!(before.get(Forward(b"/ab")), None);
}
