//! One request through one plugin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{
    Body, BoxFuture, Build, Connection, Destination, Flow, HttpProxy, HttpRequest, HttpResponse,
    LogEdit, Network, NetworkError, Services, Step, TlsOptions,
};
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

/// A model that always says the same, and what it was asked.
pub(crate) struct FakeModel {
    status: u16,
    answer: String,
    pub(crate) asked: Mutex<Vec<HttpRequest>>,
    /// The proxies that it was asked through.
    pub(crate) through: Mutex<Vec<String>>,
}

impl FakeModel {
    /// Services with such a model in their network.
    pub(crate) fn services(status: u16, answer: &str) -> (Services, Arc<Self>) {
        let model = Arc::new(Self {
            status,
            answer: answer.to_owned(),
            asked: Mutex::default(),
            through: Mutex::default(),
        });
        let mut services = services(FakeRecords::default());
        services.network = model.clone();
        (services, model)
    }
}

fn only_http<T: Send + 'static>() -> BoxFuture<Result<T, NetworkError>> {
    let error = NetworkError::Failed("a model speaks HTTP".to_owned());
    Box::pin(std::future::ready(Err(error)))
}

impl Network for FakeModel {
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        self.asked.lock().push(request);
        if self.status == 0 {
            return only_http();
        }
        let answer = HttpResponse {
            status: self.status,
            headers: Vec::new(),
            body: self.answer.clone().into(),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn http_through(
        &self,
        proxy: HttpProxy,
        request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        let at = format!("{}:{}", proxy.at.host, proxy.at.port);
        self.through.lock().push(at);
        self.http(request)
    }

    fn datagram(&self, _: Destination, _: Bytes) -> BoxFuture<Result<(), NetworkError>> {
        only_http()
    }

    fn connect(
        &self,
        _: Destination,
        _: Option<TlsOptions>,
        _: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        only_http()
    }

    fn resolve(&self, _: &str, _: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        only_http()
    }
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
