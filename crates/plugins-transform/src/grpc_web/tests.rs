use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Handler, Headers, ResponseHead};
use serde_json::{Value, json};

use super::handler;
use crate::grpc::tests::{FILE, access};
use crate::grpc::{Definitions, Frames, frame, from_json, to_json};

const GET: &str = "/library.v1.Shelves/Get";

fn plugin(strips: bool) -> Arc<dyn Handler> {
    let config =
        json!({ "proto": FILE, "pass_stripped_path": strips, "allow_origin_header": "https://a" });
    build(handler::build, &config, &services(FakeRecords::default())).expect("a handler")
}

fn sample(kind: &str, body: &[u8]) -> Sample {
    let mut sample = Sample::new("POST", GET, &[("Content-Type", kind)]);
    sample.work.body = Some(Bytes::copy_from_slice(body));
    sample
}

/// The body that the upstream gets, or the status of the refusal.
fn asked(kind: &str, body: &[u8]) -> Result<Vec<u8>, u16> {
    let (plugin, mut sample) = (plugin(false), sample(kind, body));
    if let Some(reply) = access(&*plugin, &mut sample) {
        return Err(reply.status);
    }
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        assert_eq!(sample.head.headers.get(name), Some(value.as_bytes()));
    }
    Ok(sample.exchange().body().to_vec())
}

fn request() -> (Value, Vec<u8>) {
    let definitions = Definitions::load(FILE).expect("definitions");
    let kind = definitions.method(GET).expect("a method").input();
    let json = json!({ "name": "a", "deep": true, "colours": [], "most": 0 });
    let message = from_json(&kind, json.clone()).expect("a message");
    (json, frame(0, &message))
}

#[test]
fn bodies_are_unpacked_for_the_upstream() {
    let (json, framed) = request();
    let text = STANDARD.encode(&framed);
    // In two texts, each with a padding of its own.
    let twice = [STANDARD.encode(&framed[..4]), STANDARD.encode(&framed[4..])].concat();
    let json = json.to_string();
    let json_frame = frame(0, json.as_bytes());
    for (kind, body) in [
        ("application/grpc-web", framed.clone()),
        ("application/grpc-web+proto; charset=utf-8", framed.clone()),
        ("application/grpc-web-text", text.clone().into_bytes()),
        ("application/grpc-web-text+proto", twice.into_bytes()),
        (
            "application/grpc-web-text",
            text.trim_end_matches('=').as_bytes().to_vec(),
        ),
        ("application/grpc-web+json", json_frame.clone()),
        (
            "application/grpc-web-text+json",
            STANDARD.encode(&json_frame).into_bytes(),
        ),
        ("application/json", json.into_bytes()),
    ] {
        assert_eq!(asked(kind, &body), Ok(framed.clone()), "{kind}");
    }
}

#[test]
fn bodies_that_cannot_be_unpacked_are_refused() {
    for (kind, body) in [
        ("text/plain", &b"x"[..]),
        ("", b"x"),
        ("application/grpc-web-text", b"*"),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", br#"{"most":"many"}"#),
        ("application/grpc-web+json", &[0, 0, 0, 0, 1, b'{']),
        ("application/grpc-web+json", &[0, 0xff, 0xff, 0xff, 0xff]),
    ] {
        assert_eq!(asked(kind, body), Err(400), "{kind}");
    }
}

#[test]
fn a_body_that_could_not_be_held_passes_only_as_it_is() {
    for (kind, passes) in [
        ("application/grpc-web", true),
        ("application/grpc-web-text", false),
        ("application/json", false),
    ] {
        let (plugin, mut sample) = (plugin(false), sample(kind, b""));
        sample.work.body = None;
        sample.work.body_length = 1 << 30;
        let refused = access(&*plugin, &mut sample).map(|reply| reply.status);
        assert_eq!(refused, (!passes).then_some(413), "{kind}");
        assert!(!sample.work.body_changed, "{kind}");
    }
}

#[test]
fn browsers_may_ask_whether_they_may_call() {
    let plugin = plugin(false);
    let mut sample = Sample::new("OPTIONS", GET, &[]);
    let reply = access(&*plugin, &mut sample).expect("an answer");
    assert_eq!(
        (reply.status, &reply.body),
        (200, &Body::Bytes("OK".into()))
    );
    let mut head = ResponseHead::new(200, http1::Framing::Chunked);
    for edit in &sample.work.answer_headers {
        edit.apply(&mut head).expect("a header");
    }
    let origin = head.headers.get("access-control-allow-origin");
    assert_eq!(origin, Some(&b"https://a"[..]));
}

/// The head's status of gRPC and the trailers of an answer, and what a client of this kind gets.
fn answered(kind: &str, body: &[u8], status: &str, trailers: &[(&str, &str)]) -> (String, Vec<u8>) {
    let (plugin, mut sample) = (
        plugin(false),
        sample(kind, &STANDARD.encode(request().1).into_bytes()),
    );
    if !kind.contains("text") {
        sample.work.body = Some(request().1.into());
    }
    assert!(access(&*plugin, &mut sample).is_none());
    let mut head = ResponseHead::new(200, http1::Framing::Chunked);
    head.headers
        .set("Content-Type", "application/grpc")
        .expect("a header");
    if !status.is_empty() {
        head.headers.set("grpc-status", status).expect("a header");
    }
    plugin
        .header_filter(&mut sample.exchange(), &mut head)
        .expect("a head");
    let mut sent = Vec::new();
    let mut piece = Bytes::copy_from_slice(body);
    plugin
        .body_filter(&mut sample.exchange(), &mut piece, false)
        .expect("a piece");
    sent.extend_from_slice(&piece);
    if !trailers.is_empty() {
        let mut lines = Headers::default();
        for (name, value) in trailers {
            lines.append(*name, value).expect("a trailer");
        }
        sample.work.trailers = Some(Box::new(lines));
    }
    let mut rest = Bytes::new();
    plugin
        .body_filter(&mut sample.exchange(), &mut rest, true)
        .expect("the last piece");
    sent.extend_from_slice(&rest);
    assert!(sample.work.trailers.is_none(), "they are in the body");
    let kind = head.headers.get("content-type").expect("a type");
    (String::from_utf8_lossy(kind).into_owned(), sent)
}

#[test]
fn trailers_stand_at_the_end_of_the_body() {
    let message = frame(0, b"message");
    let trailers = [
        ("grpc-status", "5"),
        ("grpc-message", "none"),
        ("X-More", "1"),
    ];
    let end = frame(0x80, b"grpc-status:5\r\ngrpc-message:none\r\nx-more:1\r\n");
    let (kind, sent) = answered("application/grpc-web", &message, "", &trailers);
    assert_eq!(kind, "application/grpc-web");
    assert_eq!(sent, [message.clone(), end.clone()].concat());

    let (kind, sent) = answered("application/grpc-web-text", &message, "", &trailers);
    assert_eq!(kind, "application/grpc-web-text");
    let expected = [STANDARD.encode(&message), STANDARD.encode(&end)].concat();
    assert_eq!(sent, expected.into_bytes());

    let (_, sent) = answered("application/grpc-web", b"", "7", &[]);
    assert_eq!(sent, frame(0x80, b"grpc-status:7\r\ngrpc-message:\r\n"));
    let (_, sent) = answered("application/grpc-web", b"", "", &[]);
    assert_eq!(sent, frame(0x80, b"grpc-status:0\r\ngrpc-message:\r\n"));
}

#[test]
fn messages_become_json_for_those_who_speak_it() {
    let definitions = Definitions::load(FILE).expect("definitions");
    let method = definitions.method(GET).expect("a method");
    let message = from_json(&method.output(), json!({ "name": "a" })).expect("a message");
    let shown = to_json(&method.output(), &message)
        .expect("JSON")
        .to_string();
    let plugin = plugin(false);
    let mut sample = sample("application/json", b"{}");
    assert!(access(&*plugin, &mut sample).is_none());
    let mut head = ResponseHead::new(200, http1::Framing::Chunked);
    head.headers
        .set("Content-Type", "application/grpc")
        .expect("a header");
    plugin
        .header_filter(&mut sample.exchange(), &mut head)
        .expect("a head");
    let framed = frame(0, &message);
    let mut sent = Vec::new();
    let (one, two) = framed.split_at(3);
    for (piece, last) in [(one, false), (two, false), (&b""[..], true)] {
        let mut piece = Bytes::copy_from_slice(piece);
        plugin
            .body_filter(&mut sample.exchange(), &mut piece, last)
            .expect("a piece");
        sent.extend_from_slice(&piece);
    }
    assert_eq!(String::from_utf8_lossy(&sent), shown);
}

#[test]
fn the_path_is_stripped_for_the_upstream_if_that_is_wished() {
    let (_, framed) = request();
    for (strips, path) in [(false, "/web/a.B/C"), (true, "/a.B/C")] {
        let plugin = plugin(strips);
        let mut sample = sample("application/grpc-web", &framed);
        sample.target = b"/web/a.B/C".to_vec();
        sample.prefix = Some(b"/web");
        assert!(access(&*plugin, &mut sample).is_none());
        assert_eq!(sample.target, path.as_bytes());
    }
}

#[test]
fn frames_of_requests_are_read_to_their_end() {
    let mut frames = Frames::default();
    frames.push(&request().1);
    assert!(frames.take().expect("a frame").is_some());
    assert!(frames.take().expect("an end").is_none());
}
