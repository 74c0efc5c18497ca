//! From a stored record to the one that is shown.

use serde_json::Value;

use crate::prepare::{Context, Mode, Subschemas, fill_level};
use crate::validate::Level;
use crate::{Field, Kind, Record, Rule, Schema, Shape};

impl Schema {
    /// A stored record as the Admin API shows it: complete, and with the deprecated names that still have a value.
    pub fn present(&self, record: Record, subschemas: &dyn Subschemas) -> Record {
        let mut record = self.completed(record, subschemas);
        let level = self.level(&record, subschemas);
        show_shorthands(level, &mut record);
        if self.ttl {
            record.entry("ttl").or_insert(Value::Null);
        }
        record
    }

    /// A stored record with all fields of its declaration, where an older one left some out.
    pub fn completed(&self, record: Record, subschemas: &dyn Subschemas) -> Record {
        let mut no_ids = uuid::Uuid::nil;
        let mut ctx = Context::at(0, &mut no_ids, subschemas);
        self.complete(record, &mut ctx)
    }

    pub(crate) fn complete(&self, record: Record, ctx: &mut Context<'_>) -> Record {
        let subschemas = ctx.subschemas;
        let level = self.level(&record, subschemas);
        // Reading expands no shorthand, and nothing else that fills a record in can fail.
        let mut record = fill_level(level, record, Mode::Read, ctx).unwrap_or_default();
        tidy(level, &mut record, |name| name == "ttl" && self.ttl);
        record
    }
}

/// Drops what is not declared, gives every declared field a value, and shows empty text as null.
fn tidy(level: Level<'_>, record: &mut Record, keeps: impl Fn(&str) -> bool) {
    record.retain(|name, _| level.field(name).is_some() || keeps(name));
    for (name, field) in level.fields() {
        let value = record.entry(name).or_insert(Value::Null);
        tidy_value(field, value);
    }
}

fn tidy_value(field: &Field, value: &mut Value) {
    match (&field.kind, &mut *value) {
        (Kind::String, Value::String(text)) if text.is_empty() && !allows_empty(field) => {
            *value = Value::Null
        }
        (Kind::Record(shape), Value::Object(record)) if !field.is_abstract => {
            tidy(Level::of(shape), record, |_| false)
        }
        (Kind::Array(elements) | Kind::Set(elements), Value::Array(list)) => {
            if let Kind::Record(shape) = &elements.kind {
                for record in list.iter_mut().filter_map(Value::as_object_mut) {
                    tidy(Level::of(shape), record, |_| false);
                }
            }
        }
        _ => {}
    }
}

fn allows_empty(field: &Field) -> bool {
    field
        .rules
        .iter()
        .any(|rule| matches!(rule, Rule::LenMin(0)))
}

fn show_shorthands(level: Level<'_>, record: &mut Record) {
    for (name, field) in level.fields() {
        if let (Kind::Record(shape), Some(Value::Object(nested))) =
            (&field.kind, record.get_mut(name))
            && !field.is_abstract
        {
            show_shorthands(Level::of(shape), nested);
        }
    }
    show(level.shape, record);
}

fn show(shape: &Shape, record: &mut Record) {
    for shorthand in &shape.shorthands {
        if let Some(value) = shorthand.shown(record) {
            record.insert(shorthand.name.to_owned(), value);
        }
    }
}
