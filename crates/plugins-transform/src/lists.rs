//! Lists of `name:value`, as the transformers have them.

use plugin_api::fields;
use serde_json::Value;

/// A name and a value with a colon between them, as a Lua pattern.
pub const PAIR: &str = "^[^:]+:.*$";

/// The name and the value of an entry; the value is empty where there is none.
pub fn split(entry: &str) -> (&str, &str) {
    match entry.split_once(':') {
        Some((name, value)) => (name, value.trim_start_matches(':')),
        None => (entry, ""),
    }
}

/// An entry has a value, and the value is a template.
pub fn check_value(entry: &Value) -> Result<(), String> {
    match split(entry.as_str().unwrap_or_default()) {
        (name, "") => Err(format!("key '{name}' has no value")),
        (_, value) => lua::check_template(value)
            .map_err(|error| format!("value '{value}' is not in supported format, error:{error}")),
    }
}

/// The name of an entry is that of a header.
pub fn check_header(entry: &Value) -> Result<(), String> {
    check_name(split(entry.as_str().unwrap_or_default()).0)
}

/// The name and the value of an entry are names of headers.
pub fn check_both_headers(entry: &Value) -> Result<(), String> {
    let (name, value) = split(entry.as_str().unwrap_or_default());
    check_name(name)?;
    check_name(value)
}

fn check_name(name: &str) -> Result<(), String> {
    if fields::is_header_name(name) {
        return Ok(());
    }
    Err(format!("'{name}' is not a valid header"))
}
