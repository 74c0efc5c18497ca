//! `/status`, `/status/dns` and `/metrics`, which the Admin API and the Status API share.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Call, Error};
use crate::cluster::Database;
use crate::{State, answer};

/// `/status` of the Admin API.
pub async fn admin(call: Call<'_>) -> Result<Response, Error> {
    report(call.state, &call.query).await
}

/// Connections, requests, memory, and whether the database answers.
///
/// The arguments `unit` and `scale` say how amounts of memory are written.
pub async fn report(state: &State, query: &Map<String, Value>) -> Result<Response, Error> {
    let sizes =
        Sizes::read(query).map_err(|message| Error::Refused(StatusCode::BAD_REQUEST, message))?;
    let memory = state.node.memory();
    let dicts: Map<String, Value> = memory
        .caches
        .iter()
        .map(|(name, used, limit)| {
            let sizes =
                json!({ "allocated_slabs": sizes.write(*used), "capacity": sizes.write(*limit) });
            (name.clone(), sizes)
        })
        .collect();
    let workers: Vec<Value> = memory
        .workers
        .iter()
        .map(|(pid, held)| json!({ "pid": pid, "http_allocated_gc": sizes.write(*held) }))
        .collect();
    let traffic = state.node.traffic();
    let mut body = json!({
        "memory": {
            "lua_shared_dicts": dicts,
            "workers_lua_vms": workers,
            "resident": sizes.write(memory.resident),
        },
        "server": {
            "connections_accepted": traffic.accepted,
            "connections_active": traffic.active,
            "connections_handled": traffic.handled,
            "connections_reading": traffic.reading,
            "connections_waiting": traffic.waiting,
            "connections_writing": traffic.writing,
            "total_requests": traffic.requests,
        },
    });
    match &state.declarative {
        Some(declarative) => body["configuration_hash"] = declarative.hash().into(),
        None => {
            // Whoever knows that it is away need not wait for it to be silent once more.
            let is_away = matches!(state.cluster.standing().database, Database::Away { .. });
            let reachable = !is_away && state.repository.store().ping().await.is_ok();
            body["database"] = json!({ "reachable": reachable });
        }
    }
    Ok(answer::json_body(StatusCode::OK, &body))
}

/// Compat: the statistics belong to Kong's new DNS client, which is off by default.
pub async fn dns(_call: Call<'_>) -> Result<Response, Error> {
    let message = "not implemented with the legacy DNS client".to_owned();
    Err(Error::Refused(StatusCode::NOT_IMPLEMENTED, message))
}

/// The metrics page, if something produces one. It can be long, and is made where nobody waits for anything else.
pub async fn metrics(call: Call<'_>) -> Result<Response, Error> {
    let node = call.state.node.clone();
    let accept = call.accept.clone();
    let page = tokio::task::spawn_blocking(move || node.metrics(accept.as_deref())).await;
    let page = page.map_err(|error| {
        tracing::error!("the metrics page was not made: {error}");
        Error::Refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "An unexpected error occurred".to_owned(),
        )
    })?;
    let page = page.ok_or(Error::NotFound)?;
    Ok(answer::streamed(StatusCode::OK, page.media_type, page.text))
}

/// `/status/ready` of the Status API.
pub async fn ready(call: Call<'_>) -> Result<Response, Error> {
    if call.method == Method::POST {
        let wanted = call.body.get("status").or_else(|| call.query.get("status"));
        if wanted.is_none_or(|status| status != "draining") {
            return Err(Error::Page(StatusCode::BAD_REQUEST));
        }
        call.state.node.drain();
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    match call.state.node.readiness() {
        Ok(()) => Ok(answer::message(StatusCode::OK, "ready")),
        Err(reason) => Err(Error::Refused(StatusCode::SERVICE_UNAVAILABLE, reason)),
    }
}

/// How amounts of memory are written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sizes {
    unit: Option<(&'static str, f64)>,
    digits: usize,
}

impl Sizes {
    /// Bytes are numbers; the default is MiB with two digits.
    fn read(query: &Map<String, Value>) -> Result<Self, String> {
        let unit = query
            .get("unit")
            .map_or("m", |unit| unit.as_str().unwrap_or_default());
        let known = match unit.to_ascii_lowercase().as_str() {
            // Compat: bytes have no digits, whatever the scale (`an_unknown_unit_or_a_negative_scale_is_refused`).
            "" | "b" => {
                return Ok(Self {
                    unit: None,
                    digits: 0,
                });
            }
            "k" => Some(("KiB", 1024.0)),
            "m" => Some(("MiB", 1024.0 * 1024.0)),
            "g" => Some(("GiB", 1024.0 * 1024.0 * 1024.0)),
            _ => None,
        };
        let scale = query
            .get("scale")
            .and_then(Value::as_str)
            .and_then(|text| text.trim().parse::<f64>().ok());
        let digits = match scale {
            None => 2,
            Some(scale) if scale < 0.0 => {
                return Err("scale must be equal or greater than 0".to_owned());
            }
            Some(scale) => (0..=15)
                .rev()
                .find(|digits| f64::from(*digits) <= scale)
                .unwrap_or(0),
        };
        let unit = known
            .ok_or_else(|| format!("invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')"))?;
        Ok(Self {
            unit: Some(unit),
            digits: usize::try_from(digits).unwrap_or(0),
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure for people, rounded to a few digits"
    )]
    fn write(self, bytes: u64) -> Value {
        match self.unit {
            None => bytes.into(),
            Some((name, size)) => format!("{:.*} {name}", self.digits, bytes as f64 / size).into(),
        }
    }
}
