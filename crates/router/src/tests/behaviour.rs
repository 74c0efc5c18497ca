//! Decisions of a running Kong 3.9 with `traditional_compatible`, and of its own tests.

use super::{found, get, peer, route, router};
use crate::{Change, Error, Flavor, Request, Router, Scheme};

const COMPATIBLE: Flavor = Flavor::TraditionalCompatible;

#[test]
fn host_names_are_compared_with_case() {
    let router = router(COMPATIBLE, &[route(1).hosts(&["mixed.test"])]);
    assert_eq!(found(&router, &get("mixed.test", "/")), Some(1));
    assert_eq!(found(&router, &get("MiXeD.TeSt", "/")), None);
    assert_eq!(found(&router, &get("", "/")), None);
}

#[test]
fn a_leftmost_wildcard_matches_subdomains_of_any_depth_but_not_the_parent() {
    let router = router(COMPATIBLE, &[route(1).hosts(&["*.wild.test"])]);
    for (host, expected) in [
        ("a.wild.test", Some(1)),
        ("a.b.wild.test", Some(1)),
        ("a.wild.test:8080", Some(1)),
        ("wild.test", None),
        ("awild.test", None),
    ] {
        assert_eq!(found(&router, &get(host, "/")), expected, "{host}");
    }
}

#[test]
fn a_rightmost_wildcard_matches_any_suffix() {
    let router = router(COMPATIBLE, &[route(1).hosts(&["shop.*"])]);
    for (host, expected) in [
        ("shop.test", Some(1)),
        ("shop.co.test", Some(1)),
        ("shop", None),
        ("myshop.test", None),
    ] {
        assert_eq!(found(&router, &get(host, "/")), expected, "{host}");
    }
}

#[test]
fn a_port_is_taken_from_the_host_header_or_else_from_the_listener() {
    let router = router(
        COMPATIBLE,
        &[
            route(1).hosts(&["a.test:8000"]),
            route(2).hosts(&["*.b.test:80"]),
        ],
    );
    let on_port = |host, port| Request {
        destination: Some(peer(1, port)),
        ..get(host, "/")
    };
    assert_eq!(found(&router, &on_port("a.test:8000", 9000)), Some(1));
    assert_eq!(found(&router, &on_port("a.test", 8000)), Some(1));
    assert_eq!(found(&router, &on_port("a.test", 9000)), None);
    assert_eq!(found(&router, &on_port("a.test:9000", 8000)), None);
    assert_eq!(found(&router, &on_port("x.b.test:80", 9000)), Some(2));
    assert_eq!(found(&router, &on_port("x.b.test:4294967376", 9000)), None);
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    let routes = [
        route(1).paths(&["/a/b"]),
        route(2).paths(&["/a"]),
        route(3).paths(&["/a/b/c"]),
        route(4).paths(&["/"]),
    ];
    let router = router(COMPATIBLE, &routes);
    for (path, expected) in [
        ("/a/x", 2),
        ("/a/b/x", 1),
        ("/a/b/c/x", 3),
        ("/x", 4),
        ("/abc", 2),
    ] {
        assert_eq!(found(&router, &get("h", path)), Some(expected), "{path}");
    }
}

#[test]
fn the_longest_of_a_routes_own_paths_is_the_one_stripped() {
    let router = router(COMPATIBLE, &[route(1).paths(&["/a", "/a/b"])]);
    for (path, covered) in [("/a/b/c", 4), ("/a/c", 2)] {
        let request = get("h", path);
        let found = router.find(&request).unwrap();
        assert_eq!(found.matched_len(), Some(covered), "{path}");
        assert_eq!(
            found.matched_path(path.as_bytes()),
            Some(&path.as_bytes()[..covered])
        );
    }
}

#[test]
fn a_regex_is_anchored_at_its_start_only() {
    let router = router(COMPATIBLE, &[route(1).paths(&[r"~/user/\d+"])]);
    for (path, covered) in [
        ("/user/42", Some(8)),
        ("/user/42/posts", Some(8)),
        ("/v1/user/42", None),
        ("/user/x", None),
    ] {
        let request = get("h", path);
        assert_eq!(
            router.find(&request).and_then(|found| found.matched_len()),
            covered,
            "{path}"
        );
    }
}

#[test]
fn prefixes_and_expressions_of_one_route_both_match() {
    let router = router(
        COMPATIBLE,
        &[route(1).paths(&["/plain", "~/re/[0-9]$", r"~/(?i)flag$"])],
    );
    for (path, expected) in [
        ("/plain/x", Some(1)),
        ("/re/7", Some(1)),
        ("/FLAG", Some(1)),
        ("/re/77", None),
    ] {
        assert_eq!(found(&router, &get("h", path)), expected, "{path}");
    }
}

#[test]
fn groups_are_caught_by_number_and_by_name() {
    let routes = [
        route(1).paths(&[r"~/tenant/(?<id>[^/]+)/(?<rest>.*)$"]),
        route(2).paths(&[r"~/(users/)?1984/(?<subpath>profile)$"]),
        route(3).paths(&[r"~/plain/\d+"]),
    ];
    let router = router(COMPATIBLE, &routes);
    let request = get("h", "/tenant/t-1/a/b");
    let captures = router
        .find(&request)
        .and_then(|found| found.captures)
        .unwrap();
    assert_eq!(captures.number(0), Some("/tenant/t-1/a/b"));
    assert_eq!(captures.number(1), Some("t-1"));
    assert_eq!(captures.name("id"), Some("t-1"));
    assert_eq!(captures.name("rest"), Some("a/b"));
    let request = get("h", "/1984/profile");
    let captures = router
        .find(&request)
        .and_then(|found| found.captures)
        .unwrap();
    assert_eq!(
        (captures.number(1), captures.number(2)),
        (None, Some("profile"))
    );
    assert_eq!(captures.name("subpath"), Some("profile"));
    let request = get("h", "/plain/7");
    assert_eq!(router.find(&request).and_then(|found| found.captures), None);
}

#[test]
fn headers_are_compared_without_case_and_all_must_be_there() {
    let routes = [
        route(1).header("X-A", &["1", "One"]),
        route(2).header("X-A", &["1"]).header("X-B", &["2"]),
        route(3).header("X-Version", &[r"~*^v\d+$"]),
    ];
    let router = router(COMPATIBLE, &routes);
    let with = |lines: &[(&str, &str)]| {
        let request = Request {
            headers: &lines,
            ..get("h", "/")
        };
        found(&router, &request)
    };
    assert_eq!(with(&[("x-a", "ONE")]), Some(1));
    assert_eq!(with(&[("x-a", "1"), ("x-b", "2")]), Some(2));
    assert_eq!(with(&[("x-a", "3"), ("X-A", "1")]), Some(1));
    assert_eq!(with(&[("x-b", "2")]), None);
    assert_eq!(with(&[("x-version", "V12")]), Some(3));
    assert_eq!(with(&[("x-version", "v")]), None);
    assert_eq!(with(&[]), None);
}

#[test]
fn dash_and_underscore_in_a_header_name_are_the_same() {
    let router = router(COMPATIBLE, &[route(1).header("X-My-Key", &["1"])]);
    for (name, value, expected) in [
        ("X-My-Key", "1", Some(1)),
        ("x_my_key", "1", Some(1)),
        ("X-My_Key", "1", None),
    ] {
        let lines = [(name, value)];
        let request = Request {
            headers: &lines.as_slice(),
            ..get("h", "/")
        };
        assert_eq!(found(&router, &request), expected, "{name}");
    }
}

#[test]
fn names_of_the_tls_greeting_count_on_https_only() {
    let routes = [
        route(1).paths(&["/n"]).snis(&["n.test"]),
        route(2).snis(&["*.w.test"]).protocols(&["https"]),
        route(3).snis(&["dot.test."]).protocols(&["https"]),
    ];
    let router = router(COMPATIBLE, &routes);
    let tls = |sni| Request {
        scheme: Scheme::Https,
        sni,
        ..get("h", "/n")
    };
    assert_eq!(found(&router, &tls(Some("n.test"))), Some(1));
    assert_eq!(found(&router, &tls(Some("other.test"))), None);
    assert_eq!(found(&router, &tls(None)), None);
    assert_eq!(found(&router, &tls(Some("a.w.test"))), Some(2));
    assert_eq!(found(&router, &tls(Some("dot.test"))), Some(3));
    assert_eq!(found(&router, &get("h", "/n")), Some(1));
}

#[test]
fn a_path_that_is_not_utf8_matches_nothing_once_a_route_looks_at_paths() {
    let request = Request::http(b"GET", Some(b"a.test"), b"/hello/\xff");
    let by_host = router(COMPATIBLE, &[route(1).hosts(&["a.test"])]);
    assert_eq!(found(&by_host, &request), Some(1));
    let both = router(
        COMPATIBLE,
        &[route(1).hosts(&["a.test"]), route(2).paths(&["/hello"])],
    );
    assert_eq!(found(&both, &request), None);
}

#[test]
fn stream_routes_match_by_name_and_addresses() {
    let routes = [
        route(1).protocols(&["tls"]).snis(&["a.test"]),
        route(2)
            .protocols(&["tcp"])
            .source(Some("10.0.0.0/8"), None),
        route(3).protocols(&["tcp"]).destination(None, Some(5432)),
        route(4)
            .protocols(&["tcp"])
            .source(Some("10.0.0.7"), Some(1)),
    ];
    let router = router(COMPATIBLE, &routes);
    let from = |scheme, source, destination, sni| Request {
        scheme,
        source: Some(source),
        destination: Some(destination),
        sni,
        ..Request::http(b"", None, b"")
    };
    let tls = from(Scheme::Tls, peer(1, 9), peer(9, 9), Some("a.test"));
    assert_eq!(found(&router, &tls), Some(1));
    // On a plain connection names are not compared, and a route with names comes first.
    assert_eq!(
        found(&router, &from(Scheme::Tcp, peer(7, 1), peer(9, 5432), None)),
        Some(1)
    );
    let other_name = |source, destination| from(Scheme::Tls, source, destination, Some("b.test"));
    assert_eq!(
        found(&router, &other_name(peer(7, 1), peer(9, 5432))),
        Some(4)
    );
    assert_eq!(
        found(&router, &other_name(peer(8, 1), peer(9, 5432))),
        Some(2)
    );
    let outside = "192.0.2.1:7".parse().unwrap();
    assert_eq!(found(&router, &other_name(outside, peer(9, 5432))), Some(3));
    assert_eq!(found(&router, &other_name(outside, peer(9, 1))), None);
}

#[test]
fn a_route_that_cannot_be_compiled_is_refused_and_the_old_form_stays() {
    let old = route(1).paths(&["/old"]).0;
    let new = route(1).paths(&["~/(unclosed"]).0;
    let (router, _) = Router::new(COMPATIBLE).update([Change {
        before: None,
        after: Some(old.clone()),
    }]);
    let (router, rejected) = router.update([Change {
        before: Some(old),
        after: Some(new),
    }]);
    assert!(matches!(&rejected[..], [refused] if matches!(refused.error, Error::Regex { .. })));
    assert_eq!(found(&router, &get("h", "/old")), Some(1));
}

#[test]
fn patterns_that_would_take_too_much_memory_and_empty_routes_are_refused() {
    let refused = |spec: super::Builder| {
        let (_, rejected) = Router::new(COMPATIBLE).update(super::additions(&[spec]));
        rejected.into_iter().map(|rejected| rejected.error).next()
    };
    assert!(matches!(
        refused(route(1).paths(&[r"~/(\w{1000}){1000}"])),
        Some(Error::Regex { .. })
    ));
    assert!(matches!(
        refused(route(1).header("x", &["~*("])),
        Some(Error::Regex { .. })
    ));
    assert_eq!(refused(route(1)), Some(Error::Empty));
    let host = "h".repeat(300);
    assert!(matches!(
        refused(route(1).hosts(&[&host])),
        Some(Error::HostTooLong(_))
    ));
}

#[test]
fn very_long_prefixes_are_compared_to_their_end() {
    let long = format!("/{}", "x".repeat(700));
    let longer = format!("{long}/y");
    let router = router(
        COMPATIBLE,
        &[route(1).paths(&[&longer]), route(2).paths(&[&long])],
    );
    assert_eq!(found(&router, &get("h", &longer)), Some(1));
    assert_eq!(found(&router, &get("h", &format!("{long}/z"))), Some(2));
    assert_eq!(found(&router, &get("h", &long[..600])), None);
}

#[test]
fn many_hosts_with_many_paths_match_in_every_combination() {
    let hosts: Vec<String> = (10..50).map(|n| format!("h{n}.test")).collect();
    let paths: Vec<String> = (10..50).map(|n| format!("/p{n}")).collect();
    let as_text = |list: &[String]| -> Vec<Box<str>> {
        list.iter().map(|text| text.as_str().into()).collect()
    };
    let mut wide = route(1);
    wide.0.hosts = as_text(&hosts).into();
    wide.0.paths = as_text(&paths).into();
    let router = router(COMPATIBLE, &[wide, route(2).hosts(&["h10.test"])]);
    let request = get("h49.test", "/p37/x");
    let found_wide = router.find(&request).unwrap();
    assert_eq!(
        (found_wide.route.id.as_u128(), found_wide.matched_len()),
        (1, Some(4))
    );
    assert_eq!(found(&router, &get("h10.test", "/p99")), Some(2));
    assert_eq!(found(&router, &get("h11.test", "/p99")), None);
}

#[test]
fn an_expression_that_is_plain_text_is_an_exact_path_or_a_prefix() {
    let router = router(
        COMPATIBLE,
        &[route(1).paths(&["~/exact$"]), route(2).paths(&["~/pre"])],
    );
    for (path, expected) in [
        ("/exact", Some(1)),
        ("/exact/", None),
        ("/prefix", Some(2)),
        ("/x/pre", None),
    ] {
        assert_eq!(found(&router, &get("h", path)), expected, "{path}");
    }
}
