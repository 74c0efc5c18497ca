use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Failure, LuaMode, UntrustedLua};
use serde_json::{Value, json};

use super::handler;
use crate::lists;

fn config(more: Value) -> Value {
    let part = || json!({ "body": [], "headers": [], "querystring": [] });
    let mut config = json!({ "remove": part(), "rename": part(), "replace": part(), "add": part(), "append": part() });
    for (name, value) in more.as_object().expect("an object") {
        match value.as_object() {
            Some(lists) => {
                for (list, entries) in lists {
                    config[name][list] = entries.clone();
                }
            }
            None => config[name] = value.clone(),
        }
    }
    config
}

fn transform(more: Value, sample: &mut Sample) -> Result<(), Failure> {
    let services = services(FakeRecords::default());
    let handler = build(handler::build, &config(more), &services).expect("a handler");
    let mut exchange = sample.exchange();
    match handler.access(&mut exchange) {
        plugin_api::Step::Now(outcome) => outcome.map(|_| ()),
        plugin_api::Step::Later(_) => panic!("it has nothing to wait for"),
    }
}

fn headers(sample: &Sample, name: &str) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    sample.head.headers.get_all(name).map(text).collect()
}

#[test]
fn headers_are_removed_renamed_replaced_added_and_appended() {
    let mut sample = Sample::new(
        "GET",
        "/",
        &[
            ("X-A", "1"),
            ("X-B", "1"),
            ("X-B", "2"),
            ("X-C", "1"),
            ("X-D", "1"),
        ],
    );
    let changes = json!({
        "remove": { "headers": ["x-a", "x-none", "host"] },
        "rename": { "headers": ["X-B:X-Bb", "x-none:x-n"] },
        "replace": { "headers": ["x-c:new", "x-none:new"] },
        "add": { "headers": ["x-d:no", "X-E:a:b"] },
        "append": { "headers": ["x-d:2", "x-f:1"] },
    });
    transform(changes, &mut sample).expect("a change");
    for (name, values) in [
        ("X-A", &[][..]),
        ("X-B", &[]),
        ("X-Bb", &["1", "2"]),
        ("X-N", &[]),
        ("X-C", &["new"]),
        ("X-D", &["1", "2"]),
        ("X-E", &["a:b"]),
        ("X-F", &["1"]),
        ("X-None", &[]),
    ] {
        assert_eq!(headers(&sample, name), values, "{name}");
    }
}

#[test]
fn the_host_goes_its_own_way() {
    let mut sample = Sample::new("GET", "/", &[("Host", "a.test")]);
    transform(
        json!({ "replace": { "headers": ["host:b.test"] }, "add": { "headers": ["host:c.test"] } }),
        &mut sample,
    )
    .expect("a change");
    assert_eq!(headers(&sample, "Host"), ["a.test"]);
    assert_eq!(sample.work.upstream.host_header.as_deref(), Some("b.test"));
}

#[test]
fn the_query_is_changed_and_sorted() {
    let mut sample = Sample::new("GET", "/p?z=1&b=2&a=1&a=%20&flag", &[]);
    let changes = json!({
        "remove": { "querystring": ["z"] },
        "rename": { "querystring": ["b:bb"] },
        "replace": { "querystring": ["none:1"] },
        "add": { "querystring": ["c:x y", "a:no"] },
        "append": { "querystring": ["a:3"] },
    });
    transform(changes, &mut sample).expect("a change");
    assert_eq!(
        String::from_utf8_lossy(&sample.target),
        "/p?a=1&a=%20&a=3&bb=2&c=x%20y&flag"
    );
}

#[test]
fn the_method_and_the_path_are_replaced_and_the_query_stays() {
    let mut sample = Sample::new("GET", "/p?x=1", &[]);
    transform(
        json!({ "http_method": "PUT", "replace": { "uri": "/n w/$(query_params.x)?" } }),
        &mut sample,
    )
    .expect("a change");
    assert_eq!(sample.head.method().as_str(), "PUT");
    assert_eq!(sample.target, b"/n%20w/1%3F?x=1");
    assert!(transform(json!({ "replace": { "uri": "no/slash" } }), &mut sample).is_err());
}

#[test]
fn a_form_moves_to_the_query_when_the_method_has_no_body() {
    let mut sample = Sample::new(
        "POST",
        "/p?a=1",
        &[("Content-Type", "application/x-www-form-urlencoded")],
    );
    sample.work.body = Some(Bytes::from_static(b"b=2&a=3"));
    transform(json!({ "http_method": "GET" }), &mut sample).expect("a change");
    assert_eq!(sample.target, b"/p?a=1&a=3&b=2");
}

/// The body that the upstream gets, if it gets another one.
fn body(kind: &str, body: &str, changes: Value) -> Option<String> {
    let mut sample = Sample::new("POST", "/", &[("Content-Type", kind)]);
    sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    transform(changes, &mut sample).expect("a change");
    let changed = sample.work.body_changed.then_some(sample.work.body)?;
    changed.map(|body| String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn bodies_are_changed_in_their_own_format() {
    let changes = || {
        json!({
            "remove": { "body": ["a"] }, "rename": { "body": ["b:bb"] }, "replace": { "body": ["c:new", "none:new"] },
            "add": { "body": ["d:1", "c:no"] }, "append": { "body": ["c:2"] },
        })
    };
    let json = body(
        "application/json",
        r#"{"a":1,"b":[],"c":"x","e":{}}"#,
        changes(),
    )
    .expect("a change");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json,
        json!({ "bb": [], "c": ["new", "2"], "d": "1", "e": {} })
    );
    assert_eq!(
        body(
            "application/x-www-form-urlencoded",
            "a=1&b=2&c=3",
            changes()
        )
        .as_deref(),
        Some("c=new&c=2&bb=2&d=1")
    );
    let part = |name: &str, value: &str| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = [
        part("a", "1"),
        part("b", "2"),
        part("c", "3"),
        "--X--\r\n".to_owned(),
    ]
    .concat();
    let changed = [
        part("bb", "2"),
        part("c", "new"),
        part("d", "1"),
        "--X--\r\n".to_owned(),
    ]
    .concat();
    assert_eq!(
        body("multipart/form-data; boundary=X", &form, changes()),
        Some(changed)
    );
}

#[test]
fn a_body_that_cannot_be_changed_stays_as_it_is() {
    let add = || json!({ "add": { "body": ["x:1"] } });
    for (kind, given) in [
        ("application/json", "{not json"),
        ("application/json", "[1]"),
        ("text/plain", "x"),
        ("multipart/form-data; boundary=X", "broken"),
    ] {
        assert_eq!(body(kind, given, add()), None, "{kind} {given}");
    }
    assert_eq!(
        body("application/json", "", add()).as_deref(),
        Some(r#"{"x":"1"}"#)
    );
}

#[test]
fn nothing_is_removed_from_a_body_that_is_not_there() {
    let remove = || json!({ "remove": { "body": ["x"] }, "replace": { "body": ["y:1"] } });
    for kind in [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=X",
    ] {
        assert_eq!(body(kind, "", remove()), None, "{kind}");
    }
    assert_eq!(
        body("application/json", r#"{"x":1}"#, remove()).as_deref(),
        Some("{}")
    );
}

#[test]
fn templates_are_filled_in_from_the_request_as_it_came() {
    let mut sample = Sample::new("GET", "/?n=1", &[("X-Old", "1")]);
    let changes = json!({
        "remove": { "headers": ["x-old"] },
        "add": { "headers": ["x-new:$(headers['x-old'])", "x-or:$(query_params.m or 'none')"], "querystring": ["o:$(headers.x_old)"] },
    });
    transform(changes, &mut sample).expect("a change");
    assert_eq!(headers(&sample, "X-New"), ["1"]);
    assert_eq!(headers(&sample, "X-Or"), ["none"]);
    assert_eq!(sample.target, b"/?n=1&o=1");
}

#[test]
fn a_template_that_fails_ends_the_request() {
    let mut sample = Sample::new("GET", "/?a=1", &[]);
    assert!(
        transform(
            json!({ "add": { "headers": ["x:$(query_params.b.c)"] } }),
            &mut sample
        )
        .is_err()
    );
}

#[test]
fn a_value_of_a_client_cannot_break_out_of_a_header() {
    let mut sample = Sample::new("GET", "/?a=1%0d%0aX-Evil:1", &[]);
    assert!(
        transform(
            json!({ "add": { "headers": ["x:$(query_params.a)"] } }),
            &mut sample
        )
        .is_err()
    );
    assert!(!sample.head.headers.contains("X-Evil"));
}

#[test]
fn entries_without_values_and_with_broken_templates_are_refused() {
    assert_eq!(lists::check_value(&json!("a:b$(headers.x)")), Ok(()));
    assert_eq!(
        lists::check_value(&json!("a:")),
        Err("key 'a' has no value".to_owned())
    );
    let error = lists::check_value(&json!("a:$(if)")).expect_err("no Lua");
    assert!(
        error.starts_with("value '$(if)' is not in supported format, error:"),
        "{error}"
    );
}

#[test]
fn without_lua_a_template_is_refused_and_text_is_not() {
    let mut services = services(FakeRecords::default());
    let node = plugin_api::NodeFacts {
        lua: UntrustedLua {
            mode: LuaMode::Off,
            ..UntrustedLua::default()
        },
        ..(*services.node).clone()
    };
    services.node = node.into();
    let with = |value: &str| {
        build(
            handler::build,
            &config(json!({ "add": { "headers": [value] } })),
            &services,
        )
    };
    assert!(with("x:1").is_ok());
    assert!(with("x:$(headers.host)").is_err());
}
