//! Priorities: the numbers that LuaJIT computes from Kong's source, and what follows from them.

use super::{Builder, found, get, route, router};
use crate::compiled::group_paths;
use crate::priority::{http_priority, stream_priority};
use crate::{Flavor, Request};

fn priority(route: &Builder) -> u64 {
    let groups = group_paths(&route.0.paths);
    http_priority(
        &route.0,
        groups.first().map_or(&[], |group| group.as_slice()),
    )
}

#[test]
fn priorities_are_those_of_a_running_kong() {
    let cases = [
        (route(1).paths(&["/a/b"]), 0x0000_0000_2000_0004),
        (route(1).paths(&["~/a"]), 0x0008_0000_2000_0000),
        (
            route(1).paths(&["~/a"]).regex_priority(5),
            0x0008_0000_2028_0000,
        ),
        (
            route(1).paths(&["/a/b"]).methods(&["GET"]),
            0x0000_0000_4000_0004,
        ),
        (route(1).hosts(&["a.com"]), 0x1000_0000_2000_0000),
        (
            route(1).hosts(&["*.a.com"]).paths(&["/"]).methods(&["GET"]),
            0x0000_0000_6000_0001,
        ),
        (
            route(1)
                .header("a", &["1"])
                .header("b", &["1"])
                .header("c", &["1"]),
            0x0000_0000_2030_0000,
        ),
        (
            route(1)
                .paths(&["~/a"])
                .regex_priority(1)
                .header("a", &["1"]),
            0x0008_0000_4018_0000,
        ),
    ];
    for (route, expected) in cases {
        assert_eq!(priority(&route), expected, "{route:?}");
    }
}

#[test]
fn four_attributes_come_before_fewer() {
    let four = route(1)
        .hosts(&["*.a.com"])
        .paths(&["/"])
        .methods(&["GET"])
        .header("a", &["1"]);
    let three = route(2)
        .hosts(&["x.a.com"])
        .paths(&["/long/path"])
        .methods(&["GET"]);
    assert!(priority(&four) > priority(&three));
}

#[test]
fn a_plain_host_comes_before_more_attributes_without_one() {
    // Kong's documentation says otherwise; a running Kong 3.9 does this.
    let routes = [
        route(1).hosts(&["a.test"]),
        route(2).paths(&["/a"]).methods(&["GET"]),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    assert_eq!(found(&router, &get("a.test", "/a")), Some(1));
    assert_eq!(found(&router, &get("b.test", "/a")), Some(2));
}

#[test]
fn more_attributes_beat_a_longer_path() {
    let routes = [
        route(1).paths(&["/a/b/c/d"]),
        route(2).hosts(&["*.test"]).paths(&["/a"]),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    assert_eq!(found(&router, &get("a.test", "/a/b/c/d")), Some(2));
}

#[test]
fn an_exact_host_beats_a_wildcard_with_a_longer_path_or_an_expression() {
    let routes = [
        route(1).hosts(&["*.wild.test"]).paths(&["/a/b/c"]),
        route(2).hosts(&["*.test"]).paths(&[r"~/a/\w+"]),
        route(3).hosts(&["x.wild.test"]).paths(&["/a"]),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    assert_eq!(found(&router, &get("x.wild.test", "/a/b/c")), Some(3));
    assert_eq!(found(&router, &get("y.wild.test", "/a/b/c")), Some(2));
}

#[test]
fn more_headers_beat_a_longer_path() {
    let routes = [
        route(1)
            .header("version", &["v1"])
            .paths(&["/my-route/hello"]),
        route(2)
            .header("version", &["v1"])
            .header("location", &["us"])
            .paths(&["/my-route"]),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    let lines = [("version", "v1"), ("location", "us")];
    let request = Request {
        headers: &lines.as_slice(),
        ..get("h", "/my-route/hello")
    };
    assert_eq!(found(&router, &request), Some(2));
}

#[test]
fn regex_priority_orders_expressions_and_nothing_else() {
    let routes = [
        route(1).paths(&["~/p/.*"]).regex_priority(1),
        route(2).paths(&["~/p/l.*"]).regex_priority(3),
        route(3).paths(&["/p/longer/x"]).regex_priority(10),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    assert_eq!(found(&router, &get("h", "/p/longer/x")), Some(2));
    let prefixes = [
        route(1).paths(&["/p"]).regex_priority(10),
        route(2).paths(&["/p/longer"]),
    ];
    let router = super::router(Flavor::TraditionalCompatible, &prefixes);
    assert_eq!(found(&router, &get("h", "/p/longer/x")), Some(2));
}

#[test]
fn a_tie_goes_to_the_greater_id() {
    let routes = [
        route(7).paths(&["/a"]),
        route(9).paths(&["/a"]),
        route(8).paths(&["/a"]),
    ];
    let router = router(Flavor::TraditionalCompatible, &routes);
    assert_eq!(found(&router, &get("h", "/a")), Some(9));
}

#[test]
fn stream_priorities_are_kongs() {
    let name = route(1).protocols(&["tls"]).snis(&["a"]);
    let source = route(1)
        .protocols(&["tls"])
        .source(Some("10.0.0.1"), Some(7));
    let network = route(1)
        .protocols(&["tls"])
        .source(Some("10.0.0.0/8"), None);
    let both = network.clone().destination(None, Some(1));
    assert_eq!(stream_priority(&name.0), 1 << 61);
    assert_eq!(stream_priority(&source.0), 0b1100_0000);
    assert_eq!(stream_priority(&network.0), 0b1_0000);
    assert_eq!(stream_priority(&both.0), 1 << 61 | 0b1_0100);
}
