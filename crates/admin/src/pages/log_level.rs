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

/// Sets the level of this node; the argument `timeout` says for how many seconds.
pub async fn set(call: Call<'_>) -> Result<Response, Error> {
    change(&call).map(|(answer, _)| answer)
}

/// The same on all nodes.
pub async fn set_everywhere(call: Call<'_>) -> Result<Response, Error> {
    let (answer, changed) = change(&call)?;
    if let Some((level, timeout)) = changed {
        call.state.cluster.tell_log_level(level, timeout).await;
    }
    Ok(answer)
}

/// The answer, and what has changed.
fn change(call: &Call<'_>) -> Result<(Response, Option<(Level, Duration)>), Error> {
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
        let message = format!("log level is already {name}");
        return Ok((answer::message(StatusCode::OK, &message), None));
    }
    call.state.node.set_log_level(level, timeout);
    let answer = answer::message(StatusCode::OK, "log level changed");
    Ok((answer, Some((level, timeout))))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}
