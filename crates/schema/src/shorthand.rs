//! Names that users may write in place of a field, or of several: `url` of a service, old names of plugin settings.

use serde_json::Value;

use crate::path::get_path;
use crate::prepare::Context;
use crate::rule::{display, same};
use crate::validate::validate_value;
use crate::{Field, Record};

/// A name that stands for other fields of the same record.
#[derive(Debug, Clone)]
pub struct Shorthand {
    pub(crate) name: &'static str,
    pub(crate) field: Field,
    pub(crate) expand: Expand,
}

#[derive(Debug, Clone)]
pub(crate) enum Expand {
    Code(fn(&Value) -> Option<Record>),
    Path(&'static [&'static str]),
}

impl Shorthand {
    /// A name whose value code turns into fields.
    pub fn new(name: &'static str, field: Field, expand: fn(&Value) -> Option<Record>) -> Self {
        Self {
            name,
            field,
            expand: Expand::Code(expand),
        }
    }

    /// A name whose value goes to the field at `path` as it is.
    pub fn moved(name: &'static str, field: Field, path: &'static [&'static str]) -> Self {
        Self {
            name,
            field,
            expand: Expand::Path(path),
        }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the value may be.
    pub fn field(&self) -> &Field {
        &self.field
    }

    fn fields_of(&self, value: &Value) -> Option<Record> {
        match &self.expand {
            Expand::Code(expand) => expand(value),
            Expand::Path(path) => {
                let value = path.iter().rev().fold(value.clone(), |inner, part| {
                    Value::Object(Record::from_iter([((*part).to_owned(), inner)]))
                });
                match value {
                    Value::Object(record) => Some(record),
                    _ => None,
                }
            }
        }
    }

    /// The value that the shorthand would have, for a deprecated one that is still shown.
    pub(crate) fn shown(&self, record: &Record) -> Option<Value> {
        let path = self.field.deprecation.as_ref()?.replaced_with.first()?;
        get_path(record, &path.join(".")).cloned()
    }
}

/// Replaces the shorthands in a record by what they stand for.
///
/// Compat: a plain shorthand wins over the field it stands for, a deprecated one loses, and a deprecated one that
/// contradicts its replacement is an error (`a_deprecated_name_must_not_contradict_its_replacement`).
pub(crate) fn expand(
    shorthands: &[Shorthand],
    record: &mut Record,
    ctx: &mut Context<'_>,
) -> Result<(), Record> {
    let mut errors = Record::new();
    for shorthand in shorthands {
        let Some(value) = record.get(shorthand.name).cloned() else {
            continue;
        };
        let outcome = validate_value(&shorthand.field, &value, ctx)
            .and_then(|()| contradiction(shorthand, record, &value).map_err(Value::String));
        if let Err(error) = outcome {
            errors.insert(shorthand.name.to_owned(), error);
            continue;
        }
        record.remove(shorthand.name);
        if let Some(fields) = shorthand.fields_of(&value) {
            merge(record, fields, shorthand.field.deprecation.is_some());
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn contradiction(shorthand: &Shorthand, record: &Record, value: &Value) -> Result<(), String> {
    let Some(deprecation) = &shorthand.field.deprecation else {
        return Ok(());
    };
    if value.is_null() {
        return Ok(());
    }
    for path in deprecation.replaced_with {
        let path = path.join(".");
        match get_path(record, &path) {
            None | Some(Value::Null) => {}
            Some(current) if same(current, value) => {}
            Some(current) => {
                return Err(format!(
                    "both deprecated and new field are used but their values mismatch: {} = {} vs {} = {}",
                    shorthand.name,
                    display(value),
                    path,
                    display(current)
                ));
            }
        }
    }
    Ok(())
}

fn merge(record: &mut Record, fields: Record, loses: bool) {
    for (name, value) in fields {
        let current = record.get(&name).filter(|current| !current.is_null());
        let merged = match (value, current) {
            (Value::Object(new), Some(Value::Object(old))) => {
                let mut merged = if loses { new.clone() } else { old.clone() };
                let over = if loses { old.clone() } else { new };
                for (key, value) in over {
                    if !loses || !value.is_null() || !merged.contains_key(&key) {
                        merged.insert(key, value);
                    }
                }
                Value::Object(merged)
            }
            (_, Some(_)) if loses => continue,
            (value, _) => value,
        };
        record.insert(name, merged);
    }
}
