//! Text to a tree of values, within bounds.
//!
//! A YAML alias repeats what it names, so a short text can stand for an enormous tree; the tree may have about as
//! many nodes and bytes as the text, and a fixed allowance on top.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use crate::{Config, Context, Errors};

/// The longest text that is read.
const MAX_TEXT: usize = 512 << 20;

/// Nodes and bytes that aliases may add.
const ALLOWANCE: usize = 1 << 20;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON if it is, else YAML.
    #[default]
    Auto,
    Json,
    Yaml,
}

impl Format {
    /// The format that a file's name says.
    ///
    /// # Errors
    /// A name that ends in neither `json`, `yaml` nor `yml`.
    pub fn of_file(path: &Path) -> Result<Self, Errors> {
        let name = path.to_string_lossy();
        if name.ends_with("json") {
            Ok(Self::Json)
        } else if name.ends_with("yaml") || name.ends_with("yml") {
            Ok(Self::Yaml)
        } else {
            Err(Errors::of_text(format!(
                "unknown file type: {name}. (Accepted types: json, yaml)"
            )))
        }
    }
}

/// A declarative configuration that has been read but not looked into.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) value: serde_json::Map<String, Value>,
    pub(crate) yaml: bool,
    hash: String,
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// A text that is not well formed, not an object, or beyond the bounds.
    pub fn read(text: &[u8], format: Format) -> Result<Self, Errors> {
        let failed = |reason: &str| {
            Errors::of_text(format!(
                "failed parsing declarative configuration: {reason}"
            ))
        };
        if text.len() > MAX_TEXT {
            return Err(failed("too long"));
        }
        let text = std::str::from_utf8(text).map_err(|_| failed("not UTF-8"))?;
        let json = match format {
            Format::Yaml => None,
            Format::Auto | Format::Json => Some(read_json(text)),
        };
        let (value, yaml) = match json {
            Some(Ok(value)) if value.is_object() || format == Format::Json => (value, false),
            Some(Err(reason)) if format == Format::Json => return Err(failed(&reason)),
            _ => (read_yaml(text).map_err(|reason| failed(&reason))?, true),
        };
        let Value::Object(value) = value else {
            return Err(failed("expected an object"));
        };
        Ok(Self {
            value,
            yaml,
            hash: hash(text.as_bytes()),
        })
    }

    /// Takes a tree that was read elsewhere, such as the body of a request.
    pub fn from_value(value: serde_json::Map<String, Value>) -> Self {
        let text = serde_json::to_vec(&value).unwrap_or_default();
        Self {
            value,
            yaml: false,
            hash: hash(&text),
        }
    }

    /// 32 hexadecimal digits that differ when the text differs.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Validates the document and turns it into records.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(self, context: &Context<'_>) -> Result<Config, Errors> {
        crate::config::parse(self, context)
    }
}

fn hash(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read_json(text: &str) -> Result<Value, String> {
    let mut budget = Budget::of(text, false);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Node(&mut budget)
        .deserialize(&mut json)
        .map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(value)
}

fn read_yaml(text: &str) -> Result<Value, String> {
    let mut budget = Budget::of(text, true);
    let yaml = serde_yaml_ng::Deserializer::from_str(text);
    Node(&mut budget)
        .deserialize(yaml)
        .map_err(|error| error.to_string())
}

/// What the tree may still take.
struct Budget {
    left: usize,
    /// Whether `<<` merges.
    merges: bool,
}

impl Budget {
    fn of(text: &str, merges: bool) -> Self {
        let left = text.len().saturating_add(ALLOWANCE);
        Self { left, merges }
    }

    fn take<E: serde::de::Error>(&mut self, amount: usize) -> Result<(), E> {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(E::custom("aliases repeat too much")),
        }
    }
}

/// Reads one value of any kind.
struct Node<'b>(&'b mut Budget);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.0.take(1)?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value without a tag")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.take(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Node(&mut *self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = serde_json::Map::new();
        while let Some(key) = entries.next_key_seed(Node(&mut *self.0))? {
            let name = match key {
                Value::String(name) => name,
                Value::Number(_) | Value::Bool(_) => key.to_string(),
                _ => return Err(A::Error::custom("a key that is not a text")),
            };
            let value = entries.next_value_seed(Node(&mut *self.0))?;
            map.insert(name, value);
        }
        if self.0.merges {
            merge(&mut map, self.0)?;
        }
        Ok(Value::Object(map))
    }
}

/// YAML's merge key: `<<: *base` adds what the map does not say itself.
fn merge<E: serde::de::Error>(
    map: &mut serde_json::Map<String, Value>,
    budget: &mut Budget,
) -> Result<(), E> {
    let bases = match map.get("<<") {
        Some(Value::Object(_)) => vec![map.remove("<<")],
        Some(Value::Array(list)) if list.iter().all(Value::is_object) => match map.remove("<<") {
            Some(Value::Array(list)) => list.into_iter().map(Some).collect(),
            _ => Vec::new(),
        },
        _ => return Ok(()),
    };
    for base in bases {
        let Some(Value::Object(base)) = base else {
            continue;
        };
        budget.take(base.len())?;
        for (name, value) in base {
            map.entry(name).or_insert(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
