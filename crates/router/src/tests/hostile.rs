//! Nothing that a client or a record can hold makes the router panic.

use proptest::prelude::*;

use super::samples::any_routes;
use super::{Builder, additions, route};
use crate::{Change, Flavor, Request, Router, Scheme, normalize_path};

fn flavors() -> impl Strategy<Value = Flavor> {
    prop_oneof![
        Just(Flavor::TraditionalCompatible),
        Just(Flavor::Traditional),
        Just(Flavor::Expressions)
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[a-z.:*/%\\[\\]~0-9]{0,40}".prop_map(String::into_bytes),
    ]
}

/// A route whose texts no declaration has looked at.
fn unchecked_route() -> impl Strategy<Value = Builder> {
    let text = || prop_oneof!["\\PC{0,12}", "[~/a-z.*:(?<>)$\\[\\]+]{0,12}"];
    let texts = move || proptest::collection::vec(text(), 0..4);
    let expression = proptest::option::weighted(
        0.3,
        prop_oneof![
            text(),
            "(http|net|tls)\\.(path|host|sni|dst\\.port) (==|~|in|\\^=) \"?[a-z1-9/]{1,4}\"?"
        ],
    );
    (
        1u128..9,
        texts(),
        texts(),
        texts(),
        texts(),
        texts(),
        expression,
        any::<i64>(),
    )
        .prop_map(
            |(id, hosts, paths, methods, snis, values, expression, priority)| {
                let list = |texts: &[String]| -> Vec<Box<str>> {
                    texts.iter().map(|text| text.as_str().into()).collect()
                };
                let mut made = route(id).regex_priority(priority).header("X-Any", &[]);
                made.0.hosts = list(&hosts).into();
                made.0.paths = list(&paths).into();
                let rare = made.0.rare.get_or_insert_default();
                rare.methods = list(&methods);
                rare.snis = list(&snis);
                rare.headers[0].values = list(&values);
                rare.expression = expression.map(String::into_boxed_str);
                made
            },
        )
}

proptest! {
    #[test]
    fn any_request_is_decided(
        flavor in flavors(),
        routes in any_routes(),
        (method, host, path, query) in (bytes(), proptest::option::of(bytes()), bytes(), bytes()),
        headers in proptest::collection::vec((prop_oneof![Just(b"x-a".to_vec()), bytes()], bytes()), 0..5),
        sni in proptest::option::of("\\PC{0,20}"),
    ) {
        let (router, _) = Router::new(flavor).update(additions(&routes));
        let path = normalize_path(&path);
        let request = Request {
            scheme: Scheme::Https,
            method: &method,
            host: host.as_deref(),
            path: &path,
            query: &query,
            headers: &headers.as_slice(),
            sni: sni.as_deref(),
            source: None,
            destination: None,
        };
        let _ = router.find(&request).map(|found| found.matched_path(&path).map(<[u8]>::len));
    }

    #[test]
    fn any_route_is_taken_or_refused_and_can_be_taken_out_again(
        flavor in flavors(),
        routes in proptest::collection::vec(unchecked_route(), 1..6),
        (host, path) in (bytes(), bytes()),
    ) {
        let mut routes = routes;
        routes.sort_by_key(|route| route.0.id);
        routes.dedup_by_key(|route| route.0.id);
        let request = Request::http(b"GET", Some(&host), &path);
        let (router, rejected) = Router::new(flavor).update(additions(&routes));
        let _ = router.find(&request).is_some();
        let held = routes.iter().filter(|route| rejected.iter().all(|rejected| rejected.id != route.0.id));
        let (emptied, _) = router.update(held.map(|route| Change { before: Some(route.0.clone()), after: None }));
        prop_assert!(emptied.find(&request).is_none());
    }
}
