use bytes::Bytes;
use plugin_api::testing::{Sample, answer_head, build};
use plugin_api::{Body, Flow, Reply};
use serde_json::{Value, json};

use super::handler;
use crate::tests::{outside, saying, transforming};

/// The answer that the client gets when the upstream answers `hello`.
async fn answered(instructs: bool, status: u16, answer: &str, packed: bool) -> Reply {
    let model = outside(status, answer);
    let more = json!({ "parse_llm_response_json_instructions": instructs });
    let config = transforming(&more);
    let handler = build(handler::build, &config, &model.services()).expect("a handler");
    let mut sample = Sample::new("GET", "/", &[]);
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    assert!(matches!(outcome, Ok(Flow::Next)));
    let mut head = answer_head(201);
    head.headers
        .set("Content-Type", "text/plain")
        .expect("a header");
    head.headers.set("X-Own", "1").expect("a header");
    let mut body = Bytes::from_static(b"hello");
    if packed {
        head.headers
            .set("Content-Encoding", "gzip")
            .expect("a header");
        body = crate::coding::pack(&body).expect("packed").into();
    }
    let mut exchange = sample.exchange();
    let outcome = handler
        .response(&mut exchange, &mut head, &mut body)
        .outcome()
        .await;
    let asked: Value = serde_json::from_slice(&model.take_asked()[0].body).expect("JSON");
    assert_eq!(asked["messages"][1]["content"], "hello");
    match outcome.expect("no failure") {
        Flow::Answer(reply) => *reply,
        Flow::Next => panic!("the answer is always replaced"),
    }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a [u8]> {
    let mut headers = reply.headers.iter();
    let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| &value[..])
}

#[tokio::test]
async fn the_client_gets_what_the_model_says_under_the_upstreams_head() {
    for packed in [false, true] {
        let reply = answered(false, 200, &saying("hallo"), packed).await;
        assert_eq!(reply.status, 201);
        assert_eq!(header(&reply, "x-own"), Some(&b"1"[..]));
        assert_eq!(header(&reply, "content-encoding"), None);
        assert_eq!(reply.body, Body::Bytes("hallo".into()));
    }
}

#[tokio::test]
async fn a_model_may_say_the_whole_answer() {
    let said = json!({ "status": 209, "headers": { "x-own": "2", "X-New": 3 }, "body": "b" });
    let reply = answered(true, 200, &saying(&said.to_string()), false).await;
    assert_eq!(reply.status, 209);
    assert_eq!(header(&reply, "X-Own"), Some(&b"2"[..]));
    assert_eq!(header(&reply, "X-New"), Some(&b"3"[..]));
    assert_eq!(reply.body, Body::Bytes("b".into()));
    let reply = answered(true, 200, &saying("{\"a\":1}"), false).await;
    assert_eq!(
        (reply.status, reply.body),
        (200, Body::Json(json!({ "a": 1 })))
    );
}

#[tokio::test]
async fn instructions_that_are_none_become_500() {
    for said in [
        "hello",
        "5",
        "{\"status\":\"x\"}",
        "{\"status\":99}",
        "{\"status\":101}",
        "{\"headers\":{\"a\\nb\":\"c\"}}",
        "{\"headers\":{\"a\":\"b\\r\\nc: d\"}}",
        "{\"headers\":{\"Content-Length\":\"5\"}}",
    ] {
        let reply = answered(true, 200, &saying(said), false).await;
        assert_eq!(reply.status, 500, "{said}");
        let Body::Json(body) = reply.body else {
            panic!("an error is JSON")
        };
        let message = body["error"]["message"].as_str().expect("a message");
        assert!(
            message.starts_with("failed to parse JSON response instructions"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_model_that_refuses_is_told_to_the_client() {
    let reply = answered(false, 429, "{}", false).await;
    assert_eq!(reply.status, 400);
    let message = "failed to introspect request with AI service: status code 429";
    assert_eq!(
        reply.body,
        Body::Json(json!({ "error": { "message": message } }))
    );
}
