//! `/config` of a node without a database.

use std::sync::{Arc, Mutex};

use admin::DeclarativeConfig;
use admin::node::{Document, LoadError, Loaded};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{Api, request, send};
use axum::body::Body;

/// Remembers what was loaded, and answers as the document's `then` says.
#[derive(Default)]
struct Recorder {
    loads: Mutex<Vec<(Document, bool, bool)>>,
}

#[async_trait]
impl DeclarativeConfig for Recorder {
    fn hash(&self) -> String {
        "0123".to_owned()
    }

    async fn export(&self) -> Result<String, String> {
        Ok("_format_version: '3.0'\n".to_owned())
    }

    async fn load(
        &self,
        document: Document,
        check_hash: bool,
        flatten_errors: bool,
    ) -> Result<Loaded, LoadError> {
        let then = match &document {
            Document::Object(object) => object
                .get("then")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            Document::Text(_) => String::new(),
        };
        self.loads
            .lock()
            .unwrap()
            .push((document, check_hash, flatten_errors));
        match then.as_str() {
            "unchanged" => Ok(Loaded::Unchanged),
            "invalid" => Err(LoadError::Invalid(json!({ "code": 14 }))),
            "busy" => Err(LoadError::Busy),
            "failed" => Err(LoadError::Failed("the disk is full".to_owned())),
            _ => Ok(Loaded::Replaced(json!({ "services": {} }).to_string())),
        }
    }
}

fn start() -> (Api, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (Api::without_database(recorder.clone()), recorder)
}

fn last(recorder: &Recorder) -> (Document, bool, bool) {
    recorder.loads.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn the_configuration_in_use_is_shown_with_its_hash() {
    let (api, _) = start();
    let shown = api.call("GET /config", None).await.expect(200);
    assert_eq!(shown, json!({ "config": "_format_version: '3.0'\n" }));
    let page = send(
        &api.status,
        request("GET /status").body(Body::empty()).unwrap(),
    )
    .await
    .expect(200);
    assert_eq!(
        (&page["configuration_hash"], page.get("database")),
        (&json!("0123"), None)
    );
}

#[tokio::test]
async fn a_document_is_taken_in_every_form() {
    let (api, recorder) = start();
    let object = json!({ "_format_version": "3.0", "services": [] });
    api.call(
        "POST /config?check_hash=1&flatten_errors=on",
        Some(object.clone()),
    )
    .await
    .expect(201);
    let (document, check_hash, flatten_errors) = last(&recorder);
    assert!(matches!(document, Document::Object(taken) if Value::Object(taken.clone()) == object));
    assert!(check_hash && flatten_errors);
    for (media_type, body) in [
        ("application/json", r#"{"config": "a: 1"}"#),
        ("application/x-www-form-urlencoded", "config=a%3A+1"),
        ("text/yaml", "a: 1"),
        ("application/yaml; charset=utf-8", "a: 1"),
        (
            "multipart/form-data; boundary=X",
            "--X\r\nContent-Disposition: form-data; name=\"config\"\r\n\r\na: 1\r\n--X--\r\n",
        ),
    ] {
        api.post("/config", media_type, body).await.expect(201);
        let (document, check_hash, flatten_errors) = last(&recorder);
        assert!(
            matches!(document, Document::Text(text) if text == "a: 1"),
            "{media_type}"
        );
        assert!(!check_hash && !flatten_errors);
    }
    let refused = api.call("POST /config", None).await.expect(400);
    assert_eq!(refused["message"], "expected a declarative configuration");
}

#[tokio::test]
async fn the_answer_says_what_became_of_the_document() {
    let (api, _) = start();
    let post = |then: &str| {
        let body = json!({ "_format_version": "3.0", "then": then });
        let api = &api;
        async move { api.call("POST /config", Some(body)).await }
    };
    assert_eq!(post("").await.expect(201), json!({ "services": {} }));
    assert_eq!(post("unchanged").await.status, 304);
    assert_eq!(post("invalid").await.expect(400), json!({ "code": 14 }));
    let busy = post("busy").await;
    assert_eq!(
        (busy.status.as_u16(), busy.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(
        post("failed").await.expect(500),
        json!({ "message": "An unexpected error occurred" })
    );
}

#[tokio::test]
async fn the_log_level_stays_as_it_is_configured() {
    let (api, _) = start();
    api.call("PUT /debug/node/log-level/debug", None)
        .await
        .expect(405);
}
