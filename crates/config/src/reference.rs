//! References to secrets: `{vault://env/NAME}` and its parts.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The vault's name, such as `env`.
    pub vault: String,
    /// What to ask the vault for.
    pub resource: String,
    /// The member of a JSON secret to take.
    pub key: Option<String>,
    /// Options after `?`, such as `prefix`.
    pub options: BTreeMap<String, String>,
    /// The version after `#`.
    pub version: Option<String>,
}

impl Reference {
    /// Whether a text is meant as a reference.
    pub fn is_reference(text: &str) -> bool {
        text.starts_with("{vault://") && text.ends_with('}') && text.len() > "{vault://}".len()
    }

    /// Reads `{vault://NAME/RESOURCE[/KEY][?OPTION=VALUE][#VERSION]}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix("{vault://")
            .and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.ok_or_else(|| format!("not a reference [{text}]"))?;
        let (inner, version) = match inner.rsplit_once('#') {
            Some((left, version)) => (left, Some(version.to_owned())),
            None => (inner, None),
        };
        let (path, query) = inner.split_once('?').unwrap_or((inner, ""));
        let (vault, rest) = path.split_once('/').unwrap_or((path, ""));
        if vault.is_empty() {
            return Err(format!("reference url is missing host [{text}]"));
        }
        let (resource, key) = match rest.split_once('/') {
            Some((resource, key)) if !key.is_empty() => (resource, Some(key.to_owned())),
            Some((resource, _)) => (resource, None),
            None => (rest, None),
        };
        if resource.is_empty() {
            return Err(format!("reference url is missing path [{text}]"));
        }
        let options = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (name.to_owned(), value.to_owned())
            });
        Ok(Self {
            vault: vault.to_owned(),
            resource: resource.to_owned(),
            key,
            options: options.collect(),
            version,
        })
    }
}

/// The value of a reference to the environment, with the vault's own `prefix` unless the reference has one.
///
/// The variable's name is prefix and resource in capitals, with `_` for `-`.
pub fn environment_value(
    reference: &Reference,
    prefix: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Result<String, String> {
    let prefix = reference
        .options
        .get("prefix")
        .map(String::as_str)
        .or(prefix)
        .unwrap_or_default();
    let mut name = format!("{prefix}{}", reference.resource)
        .replace('-', "_")
        .to_ascii_uppercase();
    if reference.version.as_deref() == Some("2") {
        name.push_str("_PREVIOUS");
    }
    let value = environment.get(&name).ok_or_else(|| {
        format!(
            "unable to load value ({}) from vault (env): the variable {name} is not set",
            reference.resource
        )
    })?;
    let Some(key) = &reference.key else {
        return Ok(value.clone());
    };
    let json: Json = serde_json::from_str(value).map_err(|_| {
        format!("unable to json decode value of the variable {name} for its key {key}")
    })?;
    match json.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(other) if !other.is_null() => Ok(other.to_string()),
        _ => Err(format!(
            "subfield {key} not found in JSON secret of the variable {name}"
        )),
    }
}

#[cfg(test)]
mod tests;
