//! `/debug/node/log-level`: the level of the error log, read and set for a while.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use observe::logging::Level;
use serde_json::Value;

use super::{Call, Error};
use crate::answer;

const DEFAULT_TIMEOUT_SECONDS: f64 = 60.0;

/// The level in use.
pub async fn show(call: Call<'_>) -> Result<Response, Error> {
    let level = call.state.node.log_level();
    Ok(answer::message(
        StatusCode::OK,
        &format!("log level: {}", level.name()),
    ))
}

/// Sets the level; the argument `timeout` says for how many seconds.
pub async fn set(call: Call<'_>) -> Result<Response, Error> {
    if call.state.declarative.is_some() {
        let message = "cannot change log level when not using a database".to_owned();
        return Err(Error::Refused(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let name = call.parameter(0);
    let Ok(level) = name.parse::<Level>() else {
        return Err(Error::Refused(
            StatusCode::BAD_REQUEST,
            format!("unknown log level: {name}"),
        ));
    };
    let timeout = call
        .body
        .get("timeout")
        .or_else(|| call.query.get("timeout"));
    let seconds = timeout
        .and_then(number)
        .unwrap_or(DEFAULT_TIMEOUT_SECONDS)
        .ceil();
    let Ok(timeout) = Duration::try_from_secs_f64(seconds) else {
        let message = "timeout must be greater than or equal to 0".to_owned();
        return Err(Error::Refused(StatusCode::BAD_REQUEST, message));
    };
    if call.state.node.log_level() == level {
        return Ok(answer::message(
            StatusCode::OK,
            &format!("log level is already {name}"),
        ));
    }
    call.state.node.set_log_level(level, timeout);
    Ok(answer::message(StatusCode::OK, "log level changed"))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}
