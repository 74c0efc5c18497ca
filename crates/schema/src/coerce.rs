//! Text from forms and query strings, turned into values of the declared types.

use serde_json::{Number, Value};

use crate::prepare::Subschemas;
use crate::validate::Level;
use crate::{Field, Foreign, Kind, Record, Schema, Shape};

impl Schema {
    /// Turns text into numbers and booleans, single values into lists, and empty text into null, where the declaration
    /// says so. What does not fit stays as it is, and validation says why it is refused.
    pub fn coerce_form(&self, record: &mut Record, subschemas: &dyn Subschemas) {
        let level = self.level(record, subschemas);
        coerce_level(level, record, subschemas);
        if self.ttl
            && let Some(ttl) = record.get_mut("ttl")
            && let Some(number) = ttl.as_str().and_then(number_from_text)
        {
            *ttl = number.into();
        }
    }
}

fn coerce_level(level: Level<'_>, record: &mut Record, subschemas: &dyn Subschemas) {
    for (name, field) in level.fields() {
        if let Some(value) = record.get_mut(name) {
            coerce(field, value, subschemas);
        }
    }
    coerce_shorthands(level.shape, record, subschemas);
}

fn coerce_shorthands(shape: &Shape, record: &mut Record, subschemas: &dyn Subschemas) {
    for shorthand in &shape.shorthands {
        if let Some(value) = record.get_mut(shorthand.name) {
            coerce(&shorthand.field, value, subschemas);
        }
    }
}

fn coerce(field: &Field, value: &mut Value, subschemas: &dyn Subschemas) {
    if value.as_str() == Some("") {
        *value = Value::Null;
        return;
    }
    match (&field.kind, &mut *value) {
        (Kind::Integer | Kind::Number, Value::String(text)) => {
            if let Some(number) = number_from_text(text) {
                *value = number.into();
            }
        }
        (Kind::Boolean, Value::String(text)) => match text.as_str() {
            "true" => *value = Value::Bool(true),
            "false" => *value = Value::Bool(false),
            _ => {}
        },
        (Kind::Array(elements) | Kind::Set(elements), value) => {
            if value.is_null() || *value == Value::Bool(false) {
                return;
            }
            if !value.is_array() && !value.is_object() {
                *value = Value::Array(vec![value.take()]);
            }
            for element in value.as_array_mut().into_iter().flatten() {
                coerce(elements, element, subschemas);
            }
        }
        (Kind::Foreign(Foreign { reference, .. }), Value::Object(record)) => {
            if let Some(schema) = subschemas.entity(reference) {
                coerce_level(Level::of(&schema.shape), record, subschemas);
            }
        }
        (Kind::Map { values, .. }, Value::Object(map)) => {
            for value in map.values_mut() {
                coerce(values, value, subschemas);
            }
        }
        (Kind::Record(shape), Value::Object(record)) if !field.is_abstract => {
            coerce_level(Level::of(shape), record, subschemas);
        }
        _ => {}
    }
}

/// A number as Lua reads it from text: decimal or hexadecimal, with spaces around it.
pub fn number_from_text(text: &str) -> Option<Number> {
    let text = text.trim_matches(|letter: char| letter.is_ascii_whitespace());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        let number = i64::from_str_radix(hex, 16)
            .ok()
            .filter(|_| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        return Some(if negative { -number } else { number }.into());
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    let number = text.parse::<f64>().ok()?;
    Number::from_f64(number)
}
