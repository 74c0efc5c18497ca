//! `/plugins/enabled` and `/plugins/schema/{name}`.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::schemas::plugin_config;
use super::{Call, Error};
use crate::answer;

/// The names of the plugins that can be configured.
pub async fn enabled(call: Call<'_>) -> Result<Response, Error> {
    let names: Vec<String> = call
        .state
        .node
        .plugins()
        .into_iter()
        .map(|plugin| plugin.name)
        .collect();
    Ok(answer::json_body(
        StatusCode::OK,
        &json!({ "enabled_plugins": names }),
    ))
}

/// The fields of a plugin's `config`.
pub async fn schema(call: Call<'_>) -> Result<Response, Error> {
    let name = call.parameter(0);
    let declaration = call
        .state
        .subschemas
        .find("plugins", name)
        .map(|found| found.to_json());
    let config = declaration.as_ref().and_then(plugin_config);
    let config = config.ok_or_else(|| {
        Error::Refused(StatusCode::NOT_FOUND, format!("No plugin named '{name}'"))
    })?;
    // Compat: the config's fields in the shape of an entity's declaration.
    let fields = config
        .get("fields")
        .cloned()
        .unwrap_or(Value::Array(Vec::new()));
    let checks = config
        .get("entity_checks")
        .cloned()
        .unwrap_or(Value::Array(Vec::new()));
    Ok(answer::json_body(
        StatusCode::OK,
        &json!({ "fields": fields, "entity_checks": checks }),
    ))
}
