//! What is wrong with a record, field by field, in Kong's words.

use serde_json::Value;

use crate::{Record, lua_table::write_table};

pub(crate) const ENTITY: &str = "@entity";

pub(crate) const REQUIRED: &str = "required field missing";
pub(crate) const UNKNOWN: &str = "unknown field";

/// The errors of one record as a tree: a message, a list of messages, or nested errors for each field.
///
/// Errors about the record as a whole stand in the list `@entity`. A list of element errors has `null` where an
/// element is fine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Violations {
    fields: Record,
}

impl Violations {
    /// Nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One wrong field.
    pub fn of(field: &str, message: impl Into<String>) -> Self {
        let mut violations = Self::new();
        violations.insert(field, message.into());
        violations
    }

    /// One error about the whole record.
    pub fn of_entity(message: impl Into<String>) -> Self {
        let mut violations = Self::new();
        violations.push_entity(message);
        violations
    }

    /// A tree that was put together elsewhere, in the shape of [`Violations::to_json`].
    pub fn from_fields(fields: Record) -> Self {
        Self { fields }
    }

    /// Sets the error of a field: a message, or a tree.
    pub fn insert(&mut self, field: &str, error: impl Into<Value>) {
        self.fields.insert(field.to_owned(), error.into());
    }

    /// Adds an error about the whole record.
    pub fn push_entity(&mut self, message: impl Into<String>) {
        let message = Value::String(message.into());
        match self.fields.get_mut(ENTITY) {
            Some(Value::Array(messages)) => messages.push(message),
            _ => self.insert(ENTITY, Value::Array(vec![message])),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The tree itself: errors by field name.
    pub fn fields(&self) -> &Record {
        &self.fields
    }

    /// The `fields` tree of an answer.
    pub fn to_json(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// The tree, given away.
    pub fn into_json(self) -> Value {
        Value::Object(self.fields)
    }

    /// The single line that sums it up: `schema violation (port: expected an integer)`.
    pub fn message(&self) -> String {
        let lines = self.lines();
        if let [line] = lines.as_slice() {
            return format!("schema violation ({line})");
        }
        format!("{} schema violations ({})", lines.len(), lines.join("; "))
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Value::Array(messages)) = self.fields.get(ENTITY) {
            lines.extend(messages.iter().map(text));
        }
        let mut names: Vec<_> = self
            .fields
            .iter()
            .filter(|(name, _)| *name != ENTITY)
            .collect();
        names.sort_by_key(|(name, _)| name.as_str());
        for (name, error) in names {
            match error {
                Value::Object(nested) => {
                    let mut nested: Vec<_> = nested.iter().collect();
                    nested.sort_by_key(|(name, _)| name.as_str());
                    lines.extend(
                        nested
                            .into_iter()
                            .map(|(sub, error)| format!("{name}.{sub}: {}", text(error))),
                    );
                }
                Value::Array(elements) => {
                    let broken = elements
                        .iter()
                        .enumerate()
                        .filter(|(_, error)| !error.is_null());
                    lines.extend(
                        broken.map(|(at, error)| format!("{name}.{}: {}", at + 1, text(error))),
                    );
                }
                error => lines.push(format!("{name}: {}", text(error))),
            }
        }
        lines
    }
}

fn text(error: &Value) -> String {
    match error {
        Value::String(message) => message.clone(),
        tree => write_table(tree),
    }
}

impl std::fmt::Display for Violations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for Violations {}
