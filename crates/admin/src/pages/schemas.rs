//! `/schemas`: declarations, and the validation of records against them.

use axum::response::Response;
use http::StatusCode;
use schema::Schema;
use serde_json::Value;

use super::{Call, Error};
use crate::answer;

/// The declaration of an entity.
pub async fn entity(call: Call<'_>) -> Result<Response, Error> {
    let name = call.parameter(0);
    let schema = find(&call, name)?;
    Ok(answer::json_body(StatusCode::OK, &schema.to_json()))
}

/// The declaration of a plugin.
pub async fn plugin(call: Call<'_>) -> Result<Response, Error> {
    subschema(&call, "plugins", "plugin")
}

/// The declaration of a kind of vault.
pub async fn vault(call: Call<'_>) -> Result<Response, Error> {
    subschema(&call, "vaults", "vault")
}

fn subschema(call: &Call<'_>, entity: &str, noun: &str) -> Result<Response, Error> {
    let name = call.parameter(0);
    let found = call.state.subschemas.find(entity, name);
    let found = found.ok_or_else(|| not_found(format!("No {noun} named '{name}'")))?;
    Ok(answer::json_body(StatusCode::OK, &found.to_json()))
}

/// There are no WebAssembly filters.
pub async fn filter(call: Call<'_>) -> Result<Response, Error> {
    Err(not_found(format!(
        "Filter '{}' not found",
        call.parameter(0)
    )))
}

/// Checks a record as if it were to be created.
///
/// Compat: references by name are not resolved, and arguments of the query count as fields.
pub async fn validate(call: Call<'_>) -> Result<Response, Error> {
    let schema = match call.schema() {
        Some(schema) => schema,
        None => find(&call, call.parameter(0))?,
    };
    let mut input = call.query.clone();
    input.extend(call.input(schema));
    call.state.validate(schema, input)?;
    Ok(answer::message(
        StatusCode::OK,
        "schema validation successful",
    ))
}

/// The declaration of one field of a plugin.
pub fn plugin_config(declaration: &Value) -> Option<&Value> {
    declaration
        .get("fields")?
        .as_array()?
        .iter()
        .find_map(|field| field.get("config"))
}

fn find(call: &Call<'_>, name: &str) -> Result<&'static Schema, Error> {
    let found = call
        .state
        .schema(name)
        .or_else(|| entities::described(name));
    found.ok_or_else(|| not_found(format!("No entity named '{name}'")))
}

fn not_found(message: String) -> Error {
    Error::Refused(StatusCode::NOT_FOUND, message)
}
