//! How much memory is taken by what is kept, about.

use schema::Record;
use serde_json::Value;

/// What an entry of a cache takes beside what is in it.
const ENTRY: usize = 160;
/// What a member of a record takes beside its name and value.
const MEMBER: usize = 64;

/// An entry with a record, or with the knowledge that there is none.
pub(crate) fn of_record(record: Option<&Record>) -> u32 {
    total(record.map_or(0, of_members))
}

/// An entry with so many bytes of key and value.
pub(crate) fn of_key(bytes: usize) -> u32 {
    total(bytes)
}

fn total(bytes: usize) -> u32 {
    u32::try_from(ENTRY.saturating_add(bytes)).unwrap_or(u32::MAX)
}

fn of_members(record: &Record) -> usize {
    let members = record.iter();
    members
        .map(|(name, value)| MEMBER + name.len() + of_value(value))
        .sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| MEMBER + of_value(item)).sum(),
        Value::Object(members) => of_members(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
