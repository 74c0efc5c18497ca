//! One request through one plugin.

use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Build, Flow, LogEdit, Step};
use serde_json::Value;

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
