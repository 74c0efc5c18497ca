//! Expressions: fields, checks and limits.

use super::{additions, found, get, peer, route, router};
use crate::{Error, Flavor, Request, Router, Scheme};

fn matches(expression: &str, request: &Request<'_>) -> bool {
    let router = router(Flavor::Expressions, &[route(1).expression(expression, 0)]);
    found(&router, request).is_some()
}

#[test]
fn reads_queries_with_several_values_and_none() {
    let with = |query: &'static str| Request {
        query: query.as_bytes(),
        ..get("h", "/")
    };
    assert!(matches(r#"http.queries.a == "1""#, &with("b=2&a=1")));
    assert!(matches(r#"any(http.queries.a) == "2""#, &with("a=1&a=2")));
    assert!(!matches(r#"http.queries.a == "2""#, &with("a=1&a=2")));
    assert!(matches(r#"http.queries.a == """#, &with("a")));
    assert!(matches(r#"http.queries.a == "x y/z""#, &with("a=x+y%2Fz")));
    assert!(!matches(r#"http.queries.a != "1""#, &with("b")));
}

#[test]
fn reads_segments_of_the_path() {
    assert!(matches(
        r#"http.path.segments.0 == "foo" && http.path.segments.len == 1"#,
        &get("h", "/foo/")
    ));
    assert!(matches(
        r#"http.path.segments.1_2 == "b/c""#,
        &get("h", "/a/b/c/d")
    ));
    assert!(!matches(
        r#"http.path.segments.1_2 == "b/c""#,
        &get("h", "/a/b")
    ));
    assert!(matches("http.path.segments.len == 0", &get("h", "/")));
}

#[test]
fn a_protocol_is_compared_unless_https_is_the_only_one() {
    let https = |scheme| Request {
        scheme,
        ..get("h", "/")
    };
    let only = [route(1)
        .expression(r#"http.path ^= "/""#, 0)
        .protocols(&["https"])];
    let router = router(Flavor::Expressions, &only);
    assert_eq!(found(&router, &https(Scheme::Http)), Some(1));
    let plain = [route(1)
        .expression(r#"http.path ^= "/""#, 0)
        .protocols(&["http", "grpc"])];
    let router = super::router(Flavor::Expressions, &plain);
    assert_eq!(found(&router, &https(Scheme::Https)), None);
    assert_eq!(found(&router, &https(Scheme::Http)), Some(1));
}

#[test]
fn the_greater_priority_wins_and_every_expression_comes_before_fields() {
    let routes = [
        route(3).expression(r#"http.path ^= "/""#, 1),
        route(2).expression(r#"http.path ^= "/""#, (1 << 46) - 1),
        route(9).hosts(&["h"]).paths(&["/a"]).methods(&["GET"]),
    ];
    let router = router(Flavor::Expressions, &routes);
    assert_eq!(found(&router, &get("h", "/a")), Some(2));
}

#[test]
fn the_old_name_of_the_port_is_understood() {
    let request = Request {
        destination: Some(peer(1, 8000)),
        ..get("h", "/")
    };
    assert!(matches("net.port == 8000", &request));
    assert!(matches(
        "net.dst.port == 8000 && http.host == \"h\"",
        &request
    ));
}

fn refusal(expression: &str, protocol: &str) -> Option<Error> {
    let route = route(1).expression(expression, 0).protocols(&[protocol]);
    let (_, rejected) = Router::new(Flavor::Expressions).update(additions(&[route]));
    rejected.into_iter().map(|rejected| rejected.error).next()
}

#[test]
fn refuses_unknown_fields_wrong_types_and_bad_syntax() {
    for text in [
        r#"http.foo == "x""#,
        "http.path == 1",
        "net.dst.port == \"80\"",
        r#"net.src.ip in "x""#,
        "http.path ~ \"(\"",
        "http.path ==",
        "",
    ] {
        assert!(
            matches!(refusal(text, "http"), Some(Error::Expression(_))),
            "{text}"
        );
    }
    assert!(refusal(r#"http.path ^= "/""#, "tls").is_some());
    assert_eq!(refusal(r#"tls.sni =^ ".test""#, "tls"), None);
}

#[test]
fn segments_that_are_not_well_formed_match_nothing() {
    for range in ["2_1", "x", "1_", "99999999999999999999"] {
        let expression = format!("http.path.segments.{range} ^= \"\"");
        assert!(!matches(&expression, &get("h", "/a/b/c")), "{range}");
    }
}

#[test]
fn refuses_what_would_exhaust_the_stack() {
    let test = r#"http.method == "GET""#;
    let nested = |depth| format!("{}{test}{}", "(".repeat(depth), ")".repeat(depth));
    let chained = |operator: &str, terms| vec![test; terms].join(operator);
    assert!(refusal(&nested(100_000), "http").is_some());
    assert!(refusal(&chained(" && ", 100_000), "http").is_some());
    for fits in [nested(200), chained(" && ", 1001), chained(" || ", 1001)] {
        assert!(matches(&fits, &get("h", "/")));
    }
}
