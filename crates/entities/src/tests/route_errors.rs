//! What is wrong with a route, to the letter.

use serde_json::{Value, json};

use super::{check, check_flavor};
use crate::RouterFlavor;

const REQUIRED: &str = "required field missing";

#[test]
fn routes_need_something_to_match() {
    for (protocols, error) in [
        (
            json!(["http"]),
            "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'",
        ),
        (
            json!(["http", "https"]),
            "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'",
        ),
        (
            json!(["grpc"]),
            "must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'grpc'",
        ),
        (
            json!(["grpcs"]),
            "must set one of 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'grpcs'",
        ),
        (
            json!(["udp", "tls"]),
            "must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'",
        ),
        (
            json!(["tls_passthrough"]),
            "must set snis when 'protocols' is 'tls_passthrough'",
        ),
    ] {
        check(
            "routes",
            json!({ "protocols": protocols, "strip_path": false }),
            json!({ "@entity": [error] }),
        );
    }
}

#[test]
fn routes_take_what_their_protocols_allow() {
    for (input, errors) in [
        (
            json!({ "protocols": [] }),
            json!({ "protocols": "unknown type: nil" }),
        ),
        (
            json!({ "protocols": ["ftp"] }),
            json!({ "protocols": "unknown type: ftp" }),
        ),
        (
            json!({ "protocols": null }),
            json!({ "protocols": REQUIRED }),
        ),
        (
            json!({ "protocols": "http", "paths": ["/"] }),
            json!({ "protocols": "expected a set" }),
        ),
        (
            json!({ "protocols": ["http", "tcp"], "paths": ["/"] }),
            json!({ "protocols": "these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp')" }),
        ),
        (
            json!({ "paths": ["/"], "sources": [{ "port": 1 }] }),
            json!({ "sources": "cannot set 'sources' when 'protocols' is 'http' or 'https'" }),
        ),
        (
            json!({ "protocols": ["tcp"], "sources": [{ "port": 1 }], "paths": ["/"] }),
            json!({
                "paths": "cannot set 'paths' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'",
            }),
        ),
        (
            json!({ "protocols": ["grpc"], "paths": ["/"], "strip_path": true }),
            json!({ "strip_path": "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'" }),
        ),
        (
            json!({ "protocols": ["http"], "paths": ["/"], "snis": ["a.test"] }),
            json!({
                "@entity":
                    ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"],
                "snis": "length must be 0",
            }),
        ),
        (
            json!({ "protocols": ["tcp"], "sources": [{}, { "ip": "x" }, { "ip": "10.0.0.0/33" }, { "port": -1 }] }),
            json!({ "sources": [
                { "@entity": ["at least one of these fields must be non-empty: 'ip', 'port'"] },
                { "ip": "invalid ip or cidr range: 'x'" },
                { "ip": "invalid ip or cidr range: '10.0.0.0/33'" },
                { "port": "value should be between 0 and 65535" },
            ] }),
        ),
    ] {
        check("routes", input, errors);
    }
    for ip in [
        "10.0.0.1",
        "10.0.0.0/8",
        "::1",
        "2001:db8::/32",
        "0.0.0.0/0",
    ] {
        check(
            "routes",
            json!({ "protocols": ["tcp"], "sources": [{ "ip": ip }] }),
            Value::Null,
        );
    }
}

#[test]
fn hosts_of_routes() {
    for (host, error) in [
        ("a.test", None),
        ("*.a.test", None),
        ("*.a.test:80", None),
        ("a.test:8080", None),
        ("[::1]:80", None),
        (
            "a.*:80",
            Some("invalid wildcard: must be placed at leftmost or rightmost label"),
        ),
        (
            "a.*.b",
            Some("invalid wildcard: must be placed at leftmost or rightmost label"),
        ),
        (
            "*.a.*",
            Some("invalid wildcard: must have at most one wildcard"),
        ),
        ("a b", Some("invalid hostname: a b")),
        ("a.test:99999", Some("invalid port number")),
    ] {
        let errors = error.map_or(Value::Null, |error| json!({ "hosts": [error] }));
        check("routes", json!({ "hosts": [host] }), errors);
    }
}

#[test]
fn paths_of_routes() {
    for (path, error) in [
        ("/a", None),
        ("/a%2Fb", None),
        ("~/a/\\d+$", None),
        ("~/(?<name>\\w+)", None),
        ("/a//b", Some("must not have empty segments")),
        (
            "a",
            Some("should start with: / (fixed path) or ~/ (regex path)"),
        ),
        (
            "/a/../b",
            Some("non-normalized path, consider use '/b' instead"),
        ),
        (
            "/%61",
            Some("non-normalized path, consider use '/a' instead"),
        ),
        ("/é%zz", None),
        ("/a%zz", Some("invalid url-encoded value: '%zz'")),
        (
            "~/a(b",
            Some(
                "invalid regex: '/a(b' (PCRE returned: pcre2_compile() failed: \
                 missing closing parenthesis in \"/a(b\")",
            ),
        ),
        (
            "~/a)b",
            Some(
                "invalid regex: '/a)b' (PCRE returned: pcre2_compile() failed: \
                 unmatched closing parenthesis in \"/a)b\" at \")b\")",
            ),
        ),
        (
            "~/[a",
            Some(
                "invalid regex: '/[a' (PCRE returned: pcre2_compile() failed: \
                 missing terminating ] for character class in \"/[a\")",
            ),
        ),
    ] {
        let errors = error.map_or(Value::Null, |error| json!({ "paths": [error] }));
        check("routes", json!({ "paths": [path] }), errors);
    }
}

#[test]
fn routes_that_no_engine_can_match_in_linear_time() {
    let shown = "Router Expression failed validation:  --> 1:14\n  |\n1 | (http.path ~ r#\"^/a(?=b)\"#)\n  |              \
                 ^-----------^\n  |\n  = regex parse error:\n    ^/a(?=b)\n       ^^^\nerror: look-around, including \
                 look-ahead and look-behind, is not supported";
    check(
        "routes",
        json!({ "paths": ["~/a(?=b)"] }),
        json!({ "@entity": [shown] }),
    );
    check_flavor(
        RouterFlavor::Traditional,
        "routes",
        json!({ "paths": ["~/a(?=b)"] }),
        json!({ "paths": [
            "invalid regex: '/a(?=b)' (look-around, including look-ahead and look-behind, is not supported)",
        ] }),
    );
}

#[test]
fn routes_written_as_expressions() {
    let prefix = "Router Expression failed validation: ";
    let others = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'";
    let fine = r#"http.path ^= "/a" && net.port == 80"#;
    for (input, error) in [
        (json!({ "expression": fine, "priority": 5 }), None),
        (json!({ "paths": ["/a"], "sources": [{ "port": 1 }] }), None),
        (
            json!({ "expression": "http.path.segments.0_2 == \"a/b/c\"" }),
            None,
        ),
        (
            json!({ "expression": "http.path.segments.2_1 == \"a\"" }),
            Some("illformed http.path.segments.* field".to_owned()),
        ),
        (
            json!({ "expression": "http.size == 1" }),
            Some("Unknown LHS field".to_owned()),
        ),
        (
            json!({ "expression": fine, "paths": ["/a"] }),
            Some(format!(
                "cannot set 'expression' with {others} simultaneously"
            )),
        ),
        (
            json!({ "expression": fine, "regex_priority": 1 }),
            Some("cannot set 'regex_priority' with 'expression' simultaneously".to_owned()),
        ),
        (
            json!({ "paths": ["/a"], "priority": 1 }),
            Some(format!(
                "cannot set 'priority' with {others} simultaneously"
            )),
        ),
    ] {
        let errors = error.map_or(
            Value::Null,
            |error| json!({ "@entity": [format!("{prefix}{error}")] }),
        );
        check_flavor(RouterFlavor::Expressions, "routes", input, errors);
    }
    check(
        "routes",
        json!({ "expression": fine }),
        json!({
            "@entity": ["must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"],
            "expression": "unknown field",
        }),
    );
}

#[test]
fn expressions_that_would_exhaust_the_stack_are_refused() {
    let deep = format!(
        "{}http.path == \"a\"{}",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    let long = vec!["http.path == \"a\""; 10_000].join(" || ");
    for (expression, error) in [
        (
            deep,
            "at most 200 nested parentheses are allowed in an expression",
        ),
        (
            long,
            "at most 1000 logical operators are allowed in an expression",
        ),
    ] {
        check_flavor(
            RouterFlavor::Expressions,
            "routes",
            json!({ "expression": expression }),
            json!({
                "@entity": [format!("Router Expression failed validation: {error}")],
            }),
        );
    }
    let paths: Vec<_> = (0..5_000).map(|at| format!("/{at}")).collect();
    check("routes", json!({ "paths": paths }), Value::Null);
}

#[test]
fn names_of_headers_of_routes() {
    check(
        "routes",
        json!({ "headers": { "Host": ["a"] } }),
        json!({
            "headers": "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
        }),
    );
    check(
        "routes",
        json!({ "headers": { "a b": ["a"] } }),
        json!({
            "headers": "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
        }),
    );
    check(
        "routes",
        json!({ "headers": ["a"] }),
        json!({ "headers": "expected a string" }),
    );
    check(
        "routes",
        json!({ "headers": { "X-A": ["~*^a.*", "b"] } }),
        Value::Null,
    );
}
