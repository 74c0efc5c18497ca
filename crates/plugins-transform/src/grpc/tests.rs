use plugin_api::testing::Sample;
use plugin_api::{Flow, Handler, Step};
use serde_json::json;

use super::*;

/// A file that defines services.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/grpc/tests/shelves.proto");

/// What a handler answers in place of the upstream, if it does.
pub(crate) fn access(handler: &dyn Handler, sample: &mut Sample) -> Option<Reply> {
    match handler.access(&mut sample.exchange()) {
        Step::Now(Ok(Flow::Next)) => None,
        Step::Now(Ok(Flow::Answer(reply))) => Some(*reply),
        Step::Now(Err(failure)) => panic!("{failure}"),
        Step::Later(_) => panic!("there is nothing to wait for"),
    }
}

#[test]
fn messages_come_out_of_pieces_as_they_are_complete() {
    let stream = [frame(0, b"one"), frame(0, b""), frame(0, b"three")].concat();
    let mut frames = Frames::default();
    let mut messages = Vec::new();
    for byte in stream {
        frames.push(&[byte]);
        while let Some(message) = frames.take().expect("frames") {
            messages.push(message);
        }
    }
    assert_eq!(messages, [&b"one"[..], b"", b"three"]);
}

#[test]
fn messages_that_cannot_be_held_or_read_are_errors() {
    for bytes in [[0, 0xff, 0xff, 0xff, 0xff, 0], [1, 0, 0, 0, 1, 0]] {
        let mut frames = Frames::default();
        frames.push(&bytes);
        assert!(frames.take().is_err(), "{bytes:?}");
    }
}

#[test]
fn json_becomes_a_message_and_a_message_json() {
    let definitions = Definitions::load(FILE).expect("definitions");
    let method = definitions.method("/library.v1.Shelves/Get");
    let kind = method.expect("a method").output();
    let given = json!({ "name": "a", "booksHeld": "7", "colour": 1, "built": "2026-01-02T03:04:05Z", "unknown": 1 });
    let message = from_json(&kind, given).expect("a message");
    let shown = to_json(&kind, &message).expect("JSON");
    let expected = json!({ "name": "a", "books_held": 7, "books": [], "colour": "RED", "built": "2026-01-02T03:04:05Z" });
    assert_eq!(shown, expected);
    assert!(from_json(&kind, json!({ "books_held": "many" })).is_err());
    assert!(from_json(&kind, json!([])).is_err());
    assert!(to_json(&kind, b"\x0a\xff").is_err());
}

#[test]
fn methods_are_found_by_their_paths_only() {
    let definitions = Definitions::load(FILE).expect("definitions");
    for path in [
        "",
        "/",
        "/library.v1.Shelves",
        "/library.v1.Shelves/None",
        "/Shelves/Get",
        "library.v1.Shelves/Get",
    ] {
        assert!(definitions.method(path).is_none(), "{path}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let missing = Definitions::load("/no/such/file.proto").expect_err("no file");
    assert!(missing.to_string().contains("/no/such/file.proto"));
}

#[test]
fn what_is_no_file_is_not_opened() {
    for path in ["/dev/zero", "/dev", "/proc/self/fd"] {
        let refused = Definitions::load(path).expect_err(path);
        assert!(refused.to_string().contains(path), "{refused}");
    }
}

#[test]
fn rules_tell_each_way_to_call_a_method() {
    let definitions = Definitions::load(FILE).expect("definitions");
    let all: Vec<_> = definitions.methods().flat_map(|one| rules(&one)).collect();
    let shown: Vec<_> = all
        .iter()
        .map(|rule| (rule.method.as_str(), rule.path.as_str(), rule.body.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("GET", "/v1/{name=shelves/*}", ""),
            ("GET", "/v1/rooms/{room.number}/shelf", ""),
            ("PUT", "/v1/{name=shelves/*}", "shelf"),
            ("POST", "/v1/{name=**}:archive", "*"),
        ]
    );
    assert_eq!(all[2].response_body, "books");
}
