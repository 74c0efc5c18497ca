//! References to secrets: `{vault://prefix/secret/key?options#version}`.

use serde_json::Value;

/// Whether a value is a reference to a secret rather than the secret.
pub fn is_reference(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("{vault://") && text.ends_with('}'))
}
