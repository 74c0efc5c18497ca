//! `/config`: the configuration of a node without a database, as one document.

use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::{Call, Error};
use crate::answer;
use crate::node::{Document, LoadError, Loaded};

/// Shows the document in use, or replaces it.
///
/// Arguments: `config` holds the document where the body is not the document itself; `check_hash=1` skips a document
/// that is in use; `flatten_errors` lists errors by entity.
pub async fn config(call: Call<'_>) -> Result<Response, Error> {
    let Some(declarative) = &call.state.declarative else {
        let message =
            "this endpoint is only available when Kong is configured to not use a database";
        return Err(Error::Refused(StatusCode::BAD_REQUEST, message.to_owned()));
    };
    if call.method == Method::GET {
        let config = declarative.export().await.map_err(unexpected)?;
        return Ok(answer::json_body(
            StatusCode::OK,
            &json!({ "config": config }),
        ));
    }
    let option = |name: &str| call.query.get(name).or_else(|| call.body.get(name));
    let check_hash = option("check_hash").is_some_and(|value| matches!(text(value).as_str(), "1"));
    let flatten_errors = option("flatten_errors").is_some_and(is_truthy);
    match declarative
        .load(document(call)?, check_hash, flatten_errors)
        .await
    {
        Ok(Loaded::Replaced(entities)) => Ok(answer::json_text(StatusCode::CREATED, entities)),
        Ok(Loaded::Unchanged) => Ok(answer::empty(StatusCode::NOT_MODIFIED)),
        Err(LoadError::Invalid(body)) => Err(Error::Body(StatusCode::BAD_REQUEST, body)),
        Err(busy @ LoadError::Busy) => {
            let mut response = answer::message(StatusCode::TOO_MANY_REQUESTS, &busy.to_string());
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(response)
        }
        Err(LoadError::Failed(reason)) => Err(unexpected(reason)),
    }
}

/// Finds the document: the body as an object, the argument `config`, or the body as text.
fn document(call: Call<'_>) -> Result<Document, Error> {
    let mut object = call.body;
    object.remove("check_hash");
    object.remove("flatten_errors");
    if object.contains_key("_format_version") {
        return Ok(Document::Object(object));
    }
    match object.remove("config") {
        Some(Value::String(config)) => return Ok(Document::Text(config)),
        Some(Value::Object(config)) => return Ok(Document::Object(config)),
        _ => {}
    }
    let body = String::from_utf8_lossy(&call.raw_body);
    if body.trim().is_empty() {
        let message = "expected a declarative configuration".to_owned();
        return Err(Error::Refused(StatusCode::BAD_REQUEST, message));
    }
    Ok(Document::Text(body.into_owned()))
}

fn is_truthy(value: &Value) -> bool {
    matches!(
        text(value).to_ascii_lowercase().as_str(),
        "true" | "1" | "on" | "yes"
    )
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn unexpected(reason: String) -> Error {
    tracing::error!(%reason, "the declarative configuration could not be handled");
    Error::Refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        "An unexpected error occurred".to_owned(),
    )
}
