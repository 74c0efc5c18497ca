//! Pages about the node: `/`, `/endpoints`, `/timers` and the OpenAPI document.

use std::collections::BTreeSet;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::PageRequest;

use super::{Call, Error};
use crate::{answer, openapi};

/// The version of Kong whose behaviour this is.
const COMPATIBLE_VERSION: &str = "3.9.1";

/// Facts about the node.
pub async fn root(call: Call<'_>) -> Result<Response, Error> {
    let node = call.state.node.as_ref();
    let available: Map<String, Value> = node
        .plugins()
        .into_iter()
        .map(|plugin| {
            (
                plugin.name,
                json!({ "version": plugin.version, "priority": plugin.priority }),
            )
        })
        .collect();
    let pid = std::process::id();
    let mut configuration = node.configuration();
    configuration.insert("log_level".to_owned(), node.log_level().name().into());
    let body = json!({
        "tagline": "Welcome to kong",
        "version": COMPATIBLE_VERSION,
        "edition": "community",
        // Compat: tools look for these two; there is no Lua virtual machine and there are no nginx timers.
        "lua_version": "LuaJIT 2.1.0-20231117",
        "timers": { "running": 0, "pending": 0 },
        "hostname": node.hostname(),
        "node_id": node.id().to_string(),
        "plugins": { "available_on_server": available, "enabled_in_cluster": used_plugins(&call).await? },
        "configuration": configuration,
        "pids": { "master": pid, "workers": [pid] },
        "silverback": { "name": "Silverback", "version": env!("CARGO_PKG_VERSION") },
    });
    Ok(answer::json_body(StatusCode::OK, &body))
}

/// The names of the plugins that some record configures.
async fn used_plugins(call: &Call<'_>) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    let Some(schema) = call.state.schema("plugins") else {
        return Ok(names);
    };
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        ..PageRequest::default()
    };
    loop {
        let page = call.state.repository.page(schema, &request).await?;
        let named = page
            .records
            .iter()
            .filter_map(|plugin| plugin.get("name")?.as_str());
        names.extend(named.map(str::to_owned));
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return Ok(names),
        }
    }
}

/// The paths of the Admin API, as Kong lists them.
pub async fn endpoints(call: Call<'_>) -> Result<Response, Error> {
    let listed = call
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.is_listed());
    let paths: Vec<&str> = listed.map(|endpoint| endpoint.path.as_str()).collect();
    Ok(answer::json_body(StatusCode::OK, &json!({ "data": paths })))
}

/// The OpenAPI document of this API.
pub async fn openapi(call: Call<'_>) -> Result<Response, Error> {
    Ok(answer::json_body(
        StatusCode::OK,
        &openapi::describe(call.endpoints, call.state.schemas),
    ))
}

/// Compat: the shape of Kong's timer statistics; background tasks here are not counted one by one.
pub async fn timers(_call: Call<'_>) -> Result<Response, Error> {
    let counts = json!({
        "elapsed_time": 0, "pending": 0, "running": 0, "total": 0, "waiting": 0, "runs": 0
    });
    let body = json!({
        "worker": { "id": 0, "count": 1 },
        "stats": {
            "sys": counts,
            "timers": {},
            "flamegraph": { "running": "", "pending": "", "elapsed_time": "" },
        },
    });
    Ok(answer::json_body(StatusCode::OK, &body))
}
