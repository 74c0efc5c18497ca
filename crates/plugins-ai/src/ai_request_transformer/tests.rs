use bytes::Bytes;
use plugin_api::testing::{Outside, Sample, build};
use plugin_api::{Body, Flow};
use serde_json::{Map, Value, json};

use super::handler;
use crate::tests::{outside, saying, transforming};

/// What the upstream gets of `given`, and the log entry; or the message of the refusal.
async fn rewritten(
    more: &Value,
    status: u16,
    answer: &str,
    given: &str,
) -> Result<(String, Value), String> {
    let services = outside(status, answer).services();
    let handler = build(handler::build, &transforming(more), &services).expect("a handler");
    let mut sample = Sample::new("POST", "/", &[("Content-Type", "text/plain")]);
    sample.work.body = Some(Bytes::copy_from_slice(given.as_bytes()));
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    match outcome.expect("no failure") {
        Flow::Next => {
            let mut entry = Map::new();
            for edit in &sample.work.log_edits {
                edit.apply(&mut entry);
            }
            let body = String::from_utf8_lossy(sample.exchange().body()).into_owned();
            Ok((body, Value::Object(entry)))
        }
        Flow::Answer(reply) => {
            assert_eq!(reply.status, 400);
            let Body::Json(said) = reply.body else {
                panic!("a refusal is JSON")
            };
            Err(said["error"]["message"]
                .as_str()
                .expect("a message")
                .to_owned())
        }
    }
}

#[tokio::test]
async fn the_upstream_gets_what_the_model_says() {
    let (body, entry) = rewritten(&json!({}), 200, &saying("hallo"), "hello")
        .await
        .expect("a body");
    assert_eq!(body, "hallo");
    let log = &entry["ai"]["ai-request-transformer"];
    assert_eq!(log["meta"]["provider_name"], "openai");
    assert_eq!(log["usage"]["total_tokens"], 5);
    assert_eq!(log["payload"]["request"], "hello");
    let pattern = json!({ "transformation_extract_pattern": "[A-Z]+[0-9]" });
    let (body, _) = rewritten(&pattern, 200, &saying("so: abc12"), "x")
        .await
        .expect("a body");
    assert_eq!(body, "abc1");
}

#[tokio::test]
async fn the_model_is_asked_with_prompt_body_and_credentials() {
    let model = outside(200, &saying("x"));
    let config = transforming(&json!({}));
    let handler = build(handler::build, &config, &model.services()).expect("a handler");
    let mut sample = Sample::new("POST", "/", &[]);
    sample.work.body = Some(Bytes::from_static(b"hello"));
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    assert!(matches!(outcome, Ok(Flow::Next)));
    let asked = model.take_asked();
    assert_eq!(
        asked[0].url,
        "https://api.openai.com/v1/chat/completions?k=v"
    );
    assert!(
        asked[0]
            .headers
            .contains(&("X-Key".to_owned(), b"secret".to_vec()))
    );
    assert!(asked[0].tls.verify);
    let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "messages": [
                { "role": "system", "content": "translate" },
                { "role": "user", "content": "hello" },
            ],
            "model": "m", "stream": false,
        })
    );
}

#[tokio::test]
async fn whatever_goes_wrong_is_said_to_the_client() {
    let nothing = json!({});
    let pattern = json!({ "transformation_extract_pattern": "z" });
    for (more, status, answer, message) in [
        (
            &nothing,
            401,
            "{}",
            "failed to introspect request with AI service: status code 401",
        ),
        (
            &nothing,
            0,
            "",
            "failed to introspect request with AI service: request to ai service failed: request failed: connection failed",
        ),
        (
            &nothing,
            200,
            "<html>",
            "failed to convert AI response to Kong format: transformation failed from type openai://llm/v1/chat: failed to decode llm/v1/chat response",
        ),
        (
            &nothing,
            200,
            "{\"choices\":[]}",
            "no 'choices' in upstream AI service response",
        ),
        (
            &pattern,
            200,
            &saying("a"),
            "AI response did not match specified regular expression",
        ),
    ] {
        let refusal = rewritten(more, status, answer, "hello").await;
        assert_eq!(refusal.expect_err("a refusal"), message);
    }
    let long = "a".repeat(101);
    let refusal = rewritten(&nothing, 200, &saying("a"), &long)
        .await
        .expect_err("a refusal");
    assert_eq!(refusal, "request body is longer than max_request_body_size");
}

#[tokio::test]
async fn the_model_is_asked_through_the_proxy_of_its_scheme() {
    let model = outside(200, &saying("x"));
    let proxies = json!({
        "http_proxy_host": "plain", "http_proxy_port": 1,
        "https_proxy_host": "secure", "https_proxy_port": 2,
    });
    let config = transforming(&proxies);
    let handler = build(handler::build, &config, &model.services()).expect("a handler");
    let mut sample = Sample::new("POST", "/", &[]);
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    assert!(matches!(outcome, Ok(Flow::Next)));
    let (proxy, _) = model.take_asked_through().remove(0);
    let at = proxy.expect("a proxy").at;
    assert_eq!((&*at.host, at.port), ("secure", 2));
}

#[test]
fn a_pattern_that_is_none_is_refused_by_name() {
    let services = Outside::empty().services();
    let config = transforming(&json!({ "transformation_extract_pattern": "(" }));
    let failure = build(handler::build, &config, &services)
        .err()
        .expect("a failure");
    let failure = failure.to_string();
    assert!(
        failure.starts_with("transformation_extract_pattern"),
        "{failure}"
    );
}
