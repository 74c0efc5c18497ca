//! `/cache`: what the entity cache holds.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::json;

use super::{Call, Error};
use crate::answer;

/// Drops everything.
pub async fn purge(call: Call<'_>) -> Result<Response, Error> {
    call.state.node.drop_cached(None);
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Shows or drops the value under a key.
pub async fn one(call: Call<'_>) -> Result<Response, Error> {
    let key = call.parameter(0);
    if call.method == Method::DELETE {
        call.state.node.drop_cached(Some(key));
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    let value = call.state.node.cached(key).ok_or(Error::NotFound)?;
    let body = if value.is_object() || value.is_array() {
        value
    } else {
        json!({ "message": value })
    };
    Ok(answer::json_body(StatusCode::OK, &body))
}
