//! Changes to the members of a JSON object.

use serde_json::{Map, Value};

use crate::lists;

/// What is changed, in the order of the fields.
pub struct JsonChanges {
    pub remove: Vec<String>,
    pub rename: Vec<(String, String)>,
    pub replace: Vec<(String, Value)>,
    pub add: Vec<(String, Value)>,
    pub append: Vec<(String, Value)>,
}

impl JsonChanges {
    /// The values of entries, each of its type; one that is not of its type is left out.
    ///
    /// Compat: an entry without a value has the text `null`.
    pub fn values(entries: &[String], types: &[String]) -> Vec<(String, Value)> {
        let typed = entries.iter().enumerate();
        let typed = typed.filter_map(|(at, entry)| {
            let (name, value) = lists::split(entry);
            let value = if value.is_empty() { "null" } else { value };
            let value = match types.get(at).map(String::as_str) {
                Some("number") => number(value)?,
                Some("boolean") => Value::Bool(value == "true"),
                _ => Value::from(value),
            };
            Some((name.to_owned(), value))
        });
        typed.collect()
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.rename.is_empty()
            && [&self.replace, &self.add, &self.append]
                .iter()
                .all(|list| list.is_empty())
    }

    /// The changed body; `None` if it is no JSON, or nothing that has members.
    pub fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
            return None;
        };
        self.change(&mut members);
        serde_json::to_vec(&members).ok()
    }

    /// Compat: a member that is `false` counts as absent.
    fn change(&self, members: &mut Map<String, Value>) {
        let is_there = |members: &Map<String, Value>, name: &str| {
            members
                .get(name)
                .is_some_and(|value| *value != Value::Bool(false))
        };
        for name in &self.remove {
            members.remove(name);
        }
        for (old, new) in &self.rename {
            // Compat: a member that is renamed to its own name is gone.
            if let Some(value) = members.remove(old).filter(|_| old != new) {
                members.insert(new.clone(), value);
            }
        }
        for (name, value) in &self.replace {
            if is_there(members, name) {
                members.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in &self.add {
            if !is_there(members, name) {
                members.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in &self.append {
            let values = match members.remove(name) {
                Some(Value::Array(mut values)) => {
                    values.push(value.clone());
                    values
                }
                Some(one @ Value::String(_)) => vec![one, value.clone()],
                _ => vec![value.clone()],
            };
            members.insert(name.clone(), Value::Array(values));
        }
    }
}

/// A number, whole if it can be.
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    serde_json::Number::from_f64(number).map(Value::Number)
}
