//! Clients that speak the provider's own language.

use super::*;

const BODY: &str = r#"{"contents":[{"parts":[{"text":"hello"}]}],"other":1.50}"#;
const PATH: &str = "/v1beta/models/m-1:generateContent?alt=sse";
const STREAM: &str = "/v1beta/models/m-1:streamGenerateContent?alt=sse";

fn gemini(more: &Value) -> Value {
    let mut native = json!({ "llm_format": "gemini" });
    merge(&mut native, more);
    config(
        "gemini",
        &json!({ "options": { "max_tokens": 5 } }),
        &native,
    )
}

fn logging() -> Value {
    json!({ "logging": { "log_statistics": true, "log_payloads": true } })
}

#[test]
fn request_and_answer_pass_as_they_are() {
    let handler = made(&gemini(&logging()));
    let mut sample = sample(PATH, &[], BODY);
    outcome(&*handler, &mut sample).expect("it is let through");
    assert!(!sample.work.body_changed);
    assert_eq!(sample.target, PATH.as_bytes());
    let upstream = sample.work.upstream.host.as_deref();
    assert_eq!(upstream, Some("generativelanguage.googleapis.com"));
    let mut head = answer_head(200);
    let answer = r#"{"candidates":[{"x":1.50}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2},"modelVersion":"m-1-002"}"#;
    let body = held(&*handler, &mut sample, &mut head, answer);
    assert_eq!(&body[..], answer.as_bytes());
    assert_eq!(head.headers.get_str("X-Kong-LLM-Model"), Some("gemini/m-1"));
    let entry = logged(&*handler, &mut sample);
    let log = &entry["ai"]["proxy"];
    assert_eq!(log["meta"]["response_model"], "m-1-002");
    assert_eq!(log["usage"]["prompt_tokens"], 3);
    assert_eq!(log["usage"]["completion_tokens"], 2);
    assert_eq!(log["payload"]["request"], BODY);
}

#[test]
fn a_stream_passes_as_it_is_and_is_listened_to() {
    let handler = made(&gemini(&logging()));
    for (kind, stream) in [
        (
            "text/event-stream",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]}}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\n\n",
        ),
        (
            "application/json",
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]}}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\n]",
        ),
    ] {
        let mut sample = sample(STREAM, &[], BODY);
        outcome(&*handler, &mut sample).expect("it is let through");
        assert_eq!(sample.target, STREAM.as_bytes());
        assert!(sample.work.skips_response(0));
        let mut head = answer_head(200);
        head.headers.set("Content-Type", kind).expect("a header");
        let mut exchange = sample.exchange();
        handler
            .header_filter(&mut exchange, &mut head)
            .expect("no failure");
        assert_eq!(head.headers.get_str("content-type"), Some(kind));
        assert!(!exchange.work.answer_length_changes);
        for (piece, last) in [(stream, false), ("", true)] {
            let mut passed = Bytes::copy_from_slice(piece.as_bytes());
            handler
                .body_filter(&mut exchange, &mut passed, last)
                .expect("no failure");
            assert_eq!(&passed[..], piece.as_bytes());
        }
        let entry = logged(&*handler, &mut sample);
        let log = &entry["ai"]["proxy"];
        assert_eq!(log["usage"]["prompt_tokens"], 3, "{kind}");
        assert_eq!(log["usage"]["completion_tokens"], 2, "{kind}");
        let payload = log["payload"]["response"].as_str().expect("a payload");
        assert!(payload.contains("\"response\":\"hi\""), "{payload}");
    }
}

#[test]
fn a_stream_that_is_none_passes_nevertheless() {
    let handler = made(&gemini(&logging()));
    let mut sample = sample(STREAM, &[], BODY);
    outcome(&*handler, &mut sample).expect("it is let through");
    let mut head = answer_head(200);
    head.headers
        .set("Content-Type", "text/html")
        .expect("a header");
    let mut exchange = sample.exchange();
    handler
        .header_filter(&mut exchange, &mut head)
        .expect("no failure");
    let mut piece = Bytes::from_static(b"<html>");
    handler
        .body_filter(&mut exchange, &mut piece, true)
        .expect("no failure");
    assert_eq!(&piece[..], b"<html>");
}

#[test]
fn requests_of_other_languages_and_models_are_refused() {
    let handler = made(&gemini(&json!({})));
    let message = |target: &str, body: &str| {
        let mut sample = sample(target, &[], body);
        let reply = outcome(&*handler, &mut sample).expect_err("a refusal");
        let Body::Json(said) = reply.body else {
            panic!("a refusal is JSON")
        };
        said["error"]["message"].as_str().map(str::to_owned)
    };
    let no_prompts = "request body doesn't contain valid prompts";
    for body in [
        hello().to_string(),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(message(PATH, &body).as_deref(), Some(no_prompts), "{body}");
    }
    assert_eq!(
        message("/models/other:generateContent", BODY).as_deref(),
        Some("cannot use own model - must be: m-1")
    );
    let mut elsewhere = sample("/anywhere", &[], BODY);
    outcome(&*handler, &mut elsewhere).expect("it is let through");
    assert_eq!(elsewhere.target, b"/v1beta/models/m-1:generateContent");
}
