use bytes::Bytes;
use http1::Framing;
use plugin_api::ResponseHead;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use serde_json::{Value, json};

use super::handler;

fn config(more: Value) -> Value {
    let mut config = json!({});
    for name in ["remove", "rename", "replace", "add", "append"] {
        config[name] = json!({ "json": [], "json_types": [], "headers": [] });
    }
    for (name, lists) in more.as_object().expect("an object") {
        for (list, entries) in lists.as_object().expect("lists") {
            config[name][list] = entries.clone();
        }
    }
    config
}

fn head(headers: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(200, Framing::None);
    for (name, value) in headers {
        head.headers.append(*name, value).expect("a header");
    }
    head
}

/// The answer that the client gets: head, body, and whether its length is announced to change.
fn transform(more: Value, mut head: ResponseHead, pieces: &[&str]) -> (ResponseHead, String, bool) {
    let handler = build(
        handler::build,
        &config(more),
        &services(FakeRecords::default()),
    )
    .expect("a handler");
    let mut sample = Sample::new("GET", "/", &[]);
    let mut exchange = sample.exchange();
    handler
        .header_filter(&mut exchange, &mut head)
        .expect("a head");
    let mut body = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut piece = Bytes::copy_from_slice(piece.as_bytes());
        handler
            .body_filter(&mut exchange, &mut piece, at + 1 == pieces.len())
            .expect("a piece");
        body.extend_from_slice(&piece);
    }
    (
        head,
        String::from_utf8(body).expect("text"),
        exchange.work.answer_length_changes,
    )
}

fn values(head: &ResponseHead, name: &str) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    head.headers.get_all(name).map(text).collect()
}

#[test]
fn headers_are_changed_by_what_the_answer_came_with() {
    let changes = json!({
        "remove": { "headers": ["x-a", "set-cookie:/a=.*/"] },
        "rename": { "headers": ["x-b:X-Bb", "x-none:x-n"] },
        "replace": { "headers": ["x-c:new", "x-none:no"] },
        "add": { "headers": ["x-a:not again", "x-d:v:1", "x-c:no"] },
        "append": { "headers": ["x-c:more", "x-e:1"] },
    });
    let came = head(&[
        ("X-A", "1"),
        ("X-B", "1"),
        ("X-B", "2"),
        ("X-C", "1"),
        ("Set-Cookie", "a=1"),
    ]);
    let (head, _, _) = transform(changes, came, &[]);
    for (name, expected) in [
        ("X-A", &[][..]),
        ("X-B", &[]),
        ("X-Bb", &["1", "2"]),
        ("X-C", &["new", "more"]),
        ("X-D", &["v:1"]),
        ("X-E", &["1"]),
        ("X-N", &[]),
        ("Set-Cookie", &[]),
    ] {
        assert_eq!(values(&head, name), expected, "{name}");
    }
}

#[track_caller]
fn check_json(changes: Value, body: &str, expected: Value) {
    let json = head(&[("Content-Type", "application/json; charset=utf-8")]);
    let middle = body.len() / 2;
    let (_, changed, announced) = transform(changes, json, &[&body[..middle], &body[middle..]]);
    assert!(announced);
    let changed: Value = serde_json::from_str(&changed).expect("JSON");
    assert_eq!(changed, expected);
}

#[test]
fn members_are_changed_with_their_types() {
    let changes = json!({
        "remove": { "json": ["a"] },
        "rename": { "json": ["b:bb"] },
        "replace": { "json": ["c:2", "none:1"], "json_types": ["number", "string"] },
        "add": { "json": ["d:true", "e:1.5", "f:text", "n:x"], "json_types": ["boolean", "number", "string", "number"] },
        "append": { "json": ["g:2", "h:1"], "json_types": ["number"] },
    });
    check_json(
        changes,
        r#"{"a":1,"b":null,"c":"x","g":["1"],"h":"0","o":{"a":[]}}"#,
        json!({ "bb": null, "c": 2, "d": true, "e": 1.5, "f": "text", "g": ["1", 2], "h": ["0", "1"], "o": { "a": [] } }),
    );
}

#[test]
fn what_is_no_json_object_stays_as_it_is() {
    let add = || json!({ "add": { "json": ["x:1"] } });
    let json = || head(&[("Content-Type", "application/json")]);
    assert_eq!(transform(add(), json(), &["[{}", "]"]).1, "[{}]");
    assert_eq!(transform(add(), json(), &["{", "broken"]).1, "{broken");
    let (_, body, announced) = transform(add(), head(&[("Content-Type", "text/plain")]), &["{}"]);
    assert_eq!((&*body, announced), ("{}", false));
    let (_, body, announced) = transform(add(), head(&[]), &["{}"]);
    assert_eq!((&*body, announced), ("{}", false));
}
