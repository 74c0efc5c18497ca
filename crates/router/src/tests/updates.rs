//! A router that was changed step by step is the router that is built at once, and earlier routers stay as they were.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::samples::{any_request, any_route};
use super::{additions, found};
use crate::{Change, Flavor, Router};

proptest! {
    #[test]
    fn changes_lead_where_building_at_once_leads(
        flavor in prop_oneof![Just(Flavor::TraditionalCompatible), Just(Flavor::Traditional), Just(Flavor::Expressions)],
        steps in proptest::collection::vec((0usize..8, proptest::option::weighted(0.8, any_route())), 1..20),
        requests in proptest::collection::vec(any_request(), 1..8),
    ) {
        let mut router = Router::new(flavor);
        let mut held = BTreeMap::new();
        let mut history = Vec::new();
        for (slot, route) in steps {
            let before = held.get(&slot).cloned();
            let after = route.map(|mut route| {
                route.0.id = uuid::Uuid::from_u128(slot as u128);
                route.0
            });
            let (next, rejected) = router.update([Change { before, after: after.clone() }]);
            if rejected.is_empty() {
                match after {
                    Some(after) => held.insert(slot, after),
                    None => held.remove(&slot),
                };
            }
            router = next;
            history.push((router.clone(), held.clone()));
        }
        for (router, held) in history {
            let routes: Vec<_> = held.into_values().map(super::Builder).collect();
            let (at_once, _) = Router::new(flavor).update(additions(&routes));
            for request in &requests {
                request.with(|request| assert_eq!(found(&router, request), found(&at_once, request)));
            }
        }
    }
}
