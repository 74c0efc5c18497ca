//! One request through one plugin.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Outside, Sample, build, says, services};
use plugin_api::{Body, Build, Flow, LogEdit, NetworkError, Step};
use serde_json::{Value, json};

/// What the upstream and the log get of a request.
pub(crate) struct Passed {
    pub(crate) body: String,
    pub(crate) content_type: Option<String>,
    pub(crate) log_edits: Vec<LogEdit>,
}

/// Sends a request through a plugin of this configuration. An error is the message of the refusal.
pub(crate) fn send(
    plugin: Build,
    config: &Value,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Passed, String> {
    let services = services(FakeRecords::default());
    let handler = build(plugin, config, &services).expect("a handler");
    let mut sample = Sample::new("POST", "/", headers);
    sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    let outcome = match handler.access(&mut sample.exchange()) {
        Step::Now(outcome) => outcome.expect("no failure"),
        Step::Later(_) => panic!("there is nothing to wait for"),
    };
    let Flow::Answer(reply) = outcome else {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        return Ok(Passed {
            body: text(sample.exchange().body()),
            content_type: sample.head.headers.get("content-type").map(text),
            log_edits: sample.work.log_edits,
        });
    };
    assert_eq!(reply.status, 400);
    let Body::Json(said) = reply.body else {
        panic!("a refusal is JSON")
    };
    Err(said["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned())
}

/// A server that always says the same; none for a status of 0.
pub(crate) fn outside(status: u16, answer: &str) -> Arc<Outside> {
    let answer = answer.to_owned();
    Outside::new(move |_| match status {
        0 => Err(NetworkError::Failed("nobody is there".to_owned())),
        status => says(status, &[], &answer),
    })
}

/// An answer of OpenAI's in which the model says a text.
pub(crate) fn saying(text: &str) -> String {
    let message = json!({ "role": "assistant", "content": text });
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2 });
    json!({ "choices": [{ "message": message }], "usage": usage }).to_string()
}

/// The configuration of a plugin that has a model rewrite something.
pub(crate) fn transforming(more: &Value) -> Value {
    let mut config = json!({
        "prompt": "translate",
        "transformation_extract_pattern": null,
        "parse_llm_response_json_instructions": false,
        "http_timeout": 60000,
        "https_verify": true,
        "max_request_body_size": 100,
        "http_proxy_host": null,
        "https_proxy_host": null,
        "llm": {
            "route_type": "llm/v1/chat",
            "auth": { "header_name": "X-Key", "header_value": "secret",
                "param_name": "k", "param_value": "v", "param_location": "query" },
            "model": { "provider": "openai", "name": "m", "options": null },
            "logging": { "log_statistics": true, "log_payloads": true },
        },
    });
    let members = config.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    config
}
