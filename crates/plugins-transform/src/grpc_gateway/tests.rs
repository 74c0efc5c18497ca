use std::sync::Arc;

use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Handler, ResponseHead};
use serde_json::{Value, json};

use super::handler;
use super::template::Template;
use crate::grpc::tests::{FILE, access};
use crate::grpc::{Definitions, Frames, frame, from_json, to_json};

fn gateway() -> Arc<dyn Handler> {
    let config = json!({ "proto": FILE });
    build(handler::build, &config, &services(FakeRecords::default())).expect("a handler")
}

fn sample(method: &str, target: &str, body: &str) -> Sample {
    let mut sample = Sample::new(method, target, &[]);
    sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    sample
}

/// The path and the message that the upstream gets, or the status and the text of the refusal.
fn called(method: &str, target: &str, body: &str) -> Result<(String, Value), (u16, String)> {
    let mut sample = sample(method, target, body);
    if let Some(reply) = access(&*gateway(), &mut sample) {
        let Body::Bytes(text) = reply.body else {
            panic!("a refusal has a text")
        };
        return Err((reply.status, String::from_utf8_lossy(&text).into_owned()));
    }
    assert_eq!(sample.head.method().as_str(), "POST");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        assert_eq!(sample.head.headers.get(name), Some(value.as_bytes()));
    }
    let path = String::from_utf8(sample.target.clone()).expect("a path");
    let definitions = Definitions::load(FILE).expect("definitions");
    let kind = definitions.method(&path).expect("a method").input();
    let mut frames = Frames::default();
    frames.push(sample.exchange().body());
    let message = frames.take().expect("a frame").expect("a message");
    let mut shown = to_json(&kind, &message).expect("JSON");
    let members = shown.as_object_mut().expect("an object");
    members.retain(|_, value| !matches!(value, Value::Null) && *value != json!([]));
    Ok((path, shown))
}

#[test]
fn path_query_and_body_become_a_message() {
    let get = "/library.v1.Shelves/Get".to_owned();
    assert_eq!(
        called(
            "GET",
            "/v1/shelves/a%20b?deep=0&colours=RED&colours=0&most=5&room.number=3&no=1",
            ""
        ),
        Ok((
            get.clone(),
            json!({ "name": "shelves/a b", "deep": false, "colours": ["RED", "NONE"], "most": 5, "room": { "number": 3 } })
        ))
    );
    assert_eq!(
        called("GET", "/v1/rooms/12/shelf?deep", ""),
        Ok((
            get,
            json!({ "name": "", "deep": true, "most": 0, "room": { "number": 12 } })
        ))
    );
    let (path, message) = called(
        "PUT",
        "/v1/shelves/1?force=true",
        r#"{"books":["x"],"booksHeld":2}"#,
    )
    .expect("a call");
    assert_eq!(path, "/library.v1.Shelves/Put");
    assert_eq!(message["shelf"]["books_held"], 2);
    assert_eq!(
        (&message["name"], &message["force"]),
        (&json!("shelves/1"), &json!(true))
    );
}

#[test]
fn what_the_path_says_cannot_be_changed_by_the_body() {
    let (_, message) = called(
        "POST",
        "/v1/shelves/1/archived:archive?most=1",
        r#"{"name":"shelves/2","most":9}"#,
    )
    .expect("a call");
    assert_eq!(message["name"], "shelves/1/archived");
    // With a body that is the whole message, the query is no part of it.
    assert_eq!(message["most"], 9);
}

#[test]
fn requests_that_are_no_calls_are_refused() {
    for (method, target, body, status) in [
        ("GET", "/v1/none", "", 400),
        ("GET", "/v1/shelves/", "", 400),
        ("GET", "/v1/shelves/1/2", "", 400),
        ("DELETE", "/v1/shelves/1", "", 400),
        ("GET", "/v1/shelves/1?most=many", "", 400),
        ("PUT", "/v1/shelves/1", "{", 400),
        ("POST", "/v1/x:archive", "[]", 400),
    ] {
        let refused = called(method, target, body).expect_err(target);
        assert_eq!(refused.0, status, "{method} {target} {}", refused.1);
    }
    let preflight = called("OPTIONS", "/v1/shelves/1", "").expect_err("an answer");
    assert_eq!(preflight, (200, "OK".to_owned()));
}

#[test]
fn messages_in_messages_have_an_end() {
    let inner = |depth: usize| "inner.".repeat(depth);
    let deep = called(
        "GET",
        &format!("/v1/shelves/1?room.{}number=7", inner(20)),
        "",
    );
    let mut room = &deep.expect("a call").1["room"];
    for _ in 0..20 {
        room = &room["inner"];
    }
    assert_eq!(room["number"], 7);
    let bomb = format!("/v1/shelves/1?room.{}number=7", inner(1300));
    assert_eq!(called("GET", &bomb, "").expect_err("a refusal").0, 400);
    let body = format!(
        r#"{{"room":{}{{}}{}}}"#,
        r#"{"inner":"#.repeat(5000),
        "}".repeat(5000)
    );
    let refused = called("POST", "/v1/shelves/1:archive", &body);
    assert_eq!(refused.expect_err("a refusal").0, 400);
}

#[test]
fn a_body_that_could_not_be_held_is_refused() {
    let mut sample = Sample::new("PUT", "/v1/shelves/1", &[]);
    sample.work.body_length = 1 << 30;
    let reply = access(&*gateway(), &mut sample).expect("a refusal");
    assert_eq!(reply.status, 413);
}

/// The head and the body that the client gets of what the upstream answers to a request by this method.
fn answered(method: &str, headers: &[(&str, &str)], pieces: &[&[u8]]) -> (ResponseHead, String) {
    let (handler, mut sample) = (gateway(), sample(method, "/v1/shelves/1", ""));
    assert!(access(&*handler, &mut sample).is_none());
    let mut head = ResponseHead::new(200, http1::Framing::Chunked);
    for (name, value) in headers {
        head.headers.append(*name, value).expect("a header");
    }
    handler
        .header_filter(&mut sample.exchange(), &mut head)
        .expect("a head");
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut piece = Bytes::copy_from_slice(piece);
        let last = at + 1 == pieces.len();
        handler
            .body_filter(&mut sample.exchange(), &mut piece, last)
            .expect("a piece");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    (head, text)
}

fn shelf() -> Vec<u8> {
    let definitions = Definitions::load(FILE).expect("definitions");
    let method = definitions.method("/library.v1.Shelves/Get");
    let kind = method.expect("a method").output();
    frame(
        0,
        &from_json(&kind, json!({ "name": "a", "books": ["x"] })).expect("a message"),
    )
}

#[test]
fn answers_become_json_whatever_pieces_they_come_in() {
    let grpc = [("Content-Type", "application/grpc")];
    let (shelf, expected) = (
        shelf(),
        json!({ "name": "a", "books_held": 0, "books": ["x"], "colour": "NONE" }),
    );
    let (one, two) = shelf.split_at(7);
    let (head, text) = answered("GET", &grpc, &[one, two, b""]);
    assert_eq!(head.status(), 200);
    assert_eq!(
        head.headers.get("content-type"),
        Some(&b"application/json"[..])
    );
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON"),
        expected
    );
    let (_, text) = answered("PUT", &grpc, &[&shelf, b""]);
    assert_eq!(text, r#"["x"]"#);
}

#[test]
fn a_call_that_failed_has_the_status_of_http_that_says_so() {
    let failed = [("Content-Type", "application/grpc"), ("grpc-status", "5")];
    let (head, text) = answered("GET", &failed, &[b""]);
    assert_eq!((head.status(), text.as_str()), (404, ""));
}

#[test]
fn an_answer_that_is_none_of_grpc_goes_through_as_it_is() {
    let html = [("Content-Type", "text/html")];
    let (head, text) = answered("GET", &html, &[b"<p>", b""]);
    assert_eq!(head.headers.get("content-type"), Some(&b"text/html"[..]));
    assert_eq!(text, "<p>");
}

#[test]
fn templates_match_whole_paths_only() {
    for (template, path, values) in [
        ("/v1/a", "/v1/a", Some(vec![])),
        ("/v1/a", "/v1/a/", None),
        ("/v1/{x}", "/v1/b", Some(vec![("x", "b")])),
        ("/v1/{x}", "/v1/", None),
        ("/v1/{x=a/*/c}/d", "/v1/a/b/c/d", Some(vec![("x", "a/b/c")])),
        ("/v1/{x=**}/d", "/v1/a/d/d", Some(vec![("x", "a/d")])),
        ("/v1/{x=**}", "/v1", Some(vec![("x", "")])),
        (
            "/v1/{x}/{y.z}:go",
            "/v1/1/2:go",
            Some(vec![("x", "1"), ("y.z", "2")]),
        ),
        ("/v1/{x}:go", "/v1/1", None),
        ("/v1/{x}", "/v1/a%2Fb", Some(vec![("x", "a/b")])),
    ] {
        let parsed = Template::parse(template).expect(template);
        let values = values.map(|values| {
            let values = values.into_iter();
            values
                .map(|(name, value)| (name, value.to_owned()))
                .collect()
        });
        assert_eq!(parsed.matches(path), values, "{template} {path}");
    }
    for text in ["", "v1", "/{x", "/x}", "/a*", "/{x}y"] {
        assert_eq!(Template::parse(text), None, "{text}");
    }
}
