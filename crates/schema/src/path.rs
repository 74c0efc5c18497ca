//! Dotted paths into nested records, and what counts as empty.

use serde_json::Value;

use crate::{Field, Kind, Record, Shape};

/// The value at a dotted path such as `config.redis.host`; `None` if any part of it is absent.
pub fn get_path<'a>(record: &'a Record, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => record.get(path),
        Some((head, tail)) => get_path(record.get(head)?.as_object()?, tail),
    }
}

/// Sets the value at a dotted path, making the records on the way; whatever is in the way is replaced.
pub(crate) fn set_path(record: &mut Record, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            record.insert(path.to_owned(), value);
        }
        Some((head, tail)) => {
            let slot = record.entry(head).or_insert(Value::Null);
            if !slot.is_object() {
                *slot = Value::Object(Record::new());
            }
            if let Value::Object(nested) = slot {
                set_path(nested, tail, value);
            }
        }
    }
}

/// The declaration of the field at a dotted path; `top` finds the first part.
pub(crate) fn field_at<'a>(
    top: &dyn Fn(&str) -> Option<&'a Field>,
    path: &str,
) -> Option<&'a Field> {
    let mut parts = path.split('.');
    let mut field = top(parts.next()?)?;
    for part in parts {
        let Kind::Record(shape) = &field.kind else {
            return None;
        };
        field = Shape::field(shape, part)?;
    }
    Some(field)
}

/// Whether a value is null, or text, a list, a map or a record with nothing in it.
pub fn is_empty_value(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}
