//! From what a user sent to a record that can be stored.
//!
//! Shorthands, made values and defaults come first ([`Schema::begin`]), then whoever owns the store may resolve
//! references by name, then checks and computed values ([`Schema::finish`]). [`Schema::prepare`] does both.

use std::time::UNIX_EPOCH;

use serde_json::Value;
use stdx::Clock;
use uuid::Uuid;

use crate::check::push_entity;
use crate::path::get_path;
use crate::shorthand;
use crate::validate::Level;
use crate::{Field, Kind, Record, Schema, Shape, Subschema, Violations, is_empty_value};

/// What a record is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new record.
    Insert,
    /// Changes to a stored record: fields that are not given keep their value.
    Update,
    /// A whole record, new or in place of another.
    Upsert,
}

/// What declarations ask of the world: time, ids, and the declarations that a record chooses by a value.
pub struct Context<'a> {
    /// Milliseconds since 1970.
    pub now_millis: i64,
    /// Makes ids, and random strings out of them.
    pub new_id: &'a mut dyn FnMut() -> Uuid,
    /// Finds declarations by name.
    pub subschemas: &'a dyn Subschemas,
    /// Whether values are computed from others; off for records in which that has been done, such as hashed passwords
    /// of an export.
    pub transform: bool,
    /// What users should know although nothing is wrong, such as deprecated fields that were given.
    pub warnings: Vec<String>,
    pub(crate) updating: bool,
}

/// Finds declarations that are chosen by a value.
pub trait Subschemas: Send + Sync {
    /// What a choice adds to an entity: `find("plugins", "rate-limiting")`, `find("vaults", "env")`.
    fn find(&self, entity: &str, choice: &str) -> Option<&Subschema>;

    /// The declaration of an entity that a reference names.
    fn entity(&self, name: &str) -> Option<&Schema>;
}

/// Knows no declarations.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSubschemas;

impl Subschemas for NoSubschemas {
    fn find(&self, _entity: &str, _choice: &str) -> Option<&Subschema> {
        None
    }

    fn entity(&self, _name: &str) -> Option<&Schema> {
        None
    }
}

impl<'a> Context<'a> {
    /// Takes the time once, so that all values of one operation agree.
    pub fn new(
        clock: &dyn Clock,
        new_id: &'a mut dyn FnMut() -> Uuid,
        subschemas: &'a dyn Subschemas,
    ) -> Self {
        let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            new_id,
            subschemas,
        )
    }

    /// The same at a given time, in milliseconds since 1970.
    pub fn at(
        now_millis: i64,
        new_id: &'a mut dyn FnMut() -> Uuid,
        subschemas: &'a dyn Subschemas,
    ) -> Self {
        Self {
            now_millis,
            new_id,
            subschemas,
            transform: true,
            warnings: Vec::new(),
            updating: false,
        }
    }

    /// Seconds since 1970.
    pub fn now_seconds(&self) -> i64 {
        self.now_millis.div_euclid(1000)
    }

    pub(crate) fn warn(&mut self, message: &str) {
        if !self.warnings.iter().any(|warning| warning == message) {
            self.warnings.push(message.to_owned());
        }
    }
}

/// A record between [`Schema::begin`] and [`Schema::finish`].
#[derive(Debug, Clone)]
pub struct Draft {
    /// The record so far; references may still be resolved in it.
    pub record: Record,
    /// What the user sent.
    input: Record,
    stored: Option<Record>,
    operation: Operation,
}

/// How absent values are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They get made or default values.
    Insert,
    /// They stay absent.
    Update,
    /// They get defaults, and nothing is made.
    Read,
}

impl Schema {
    /// Turns what a user sent into a record that can be stored: every declared field is there, absent ones as `null`.
    ///
    /// `stored` is the present record of an update. References by anything but the primary key must have been
    /// resolved before; use [`Schema::begin`] and [`Schema::finish`] to do so in between.
    pub fn prepare(
        &self,
        operation: Operation,
        input: Record,
        stored: Option<&Record>,
        ctx: &mut Context<'_>,
    ) -> Result<Record, Violations> {
        let draft = self.begin(operation, input, stored, ctx)?;
        self.finish(draft, ctx)
    }

    /// Expands shorthands, makes ids and times, fills in defaults, and merges the stored record of an update.
    pub fn begin(
        &self,
        operation: Operation,
        mut input: Record,
        stored: Option<&Record>,
        ctx: &mut Context<'_>,
    ) -> Result<Draft, Violations> {
        if let Some(rewrite) = self.rewrite {
            rewrite(&mut input)?;
        }
        let subschemas = ctx.subschemas;
        let mode = if operation == Operation::Update {
            Mode::Update
        } else {
            Mode::Insert
        };
        let keep = if self.has_transformations(&input, subschemas) {
            input.clone()
        } else {
            Record::new()
        };
        let mut record = input;
        expand(&self.shape, &mut record, ctx).map_err(Violations::from_fields)?;
        let level = self.level(&record, subschemas);
        record = fill_fields(level, record, mode, ctx).map_err(Violations::from_fields)?;
        if operation == Operation::Update
            && let Some(stored) = stored
        {
            record = merge(self.level(stored, subschemas), record, stored);
        }
        let stored = if keep.is_empty() {
            None
        } else {
            stored.cloned()
        };
        Ok(Draft {
            record,
            input: keep,
            stored,
            operation,
        })
    }

    /// Validates a draft and computes what is computed.
    pub fn finish(&self, draft: Draft, ctx: &mut Context<'_>) -> Result<Record, Violations> {
        let Draft {
            record,
            input,
            stored,
            operation,
        } = draft;
        ctx.updating = operation == Operation::Update;
        let mut errors = self.errors(&record, operation != Operation::Update, ctx);
        self.transformation_errors(&record, &input, stored.as_ref(), &mut errors, ctx);
        ctx.updating = false;
        if !errors.is_empty() {
            return Err(Violations::from_fields(errors));
        }
        let record = if ctx.transform {
            self.transform(record, &input, ctx)?
        } else {
            record
        };
        Ok(self.complete(record, ctx))
    }

    fn has_transformations(&self, record: &Record, subschemas: &dyn Subschemas) -> bool {
        self.transformations_of(record, subschemas).next().is_some()
    }

    fn transform(
        &self,
        mut record: Record,
        input: &Record,
        ctx: &Context<'_>,
    ) -> Result<Record, Violations> {
        for transformation in self.transformations_of(&record.clone(), ctx.subschemas) {
            if !transformation
                .input
                .iter()
                .all(|name| !is_empty_value(get_path(input, name)))
            {
                continue;
            }
            let names = transformation.input.iter().chain(transformation.needs);
            let values: Vec<Value> = names
                .map(|name| get_path(&record, name).cloned().unwrap_or(Value::Null))
                .collect();
            if values.iter().any(|value| is_empty_value(Some(value))) {
                continue;
            }
            match (transformation.on_write)(&values) {
                Ok(fields) => record.extend(fields),
                Err(reason) => {
                    let mut errors = Record::new();
                    push_entity(&mut errors, format!("transformation failed: {reason}"));
                    return Err(Violations::from_fields(errors));
                }
            }
        }
        Ok(record)
    }
}

fn expand(shape: &Shape, record: &mut Record, ctx: &mut Context<'_>) -> Result<(), Record> {
    if shape.shorthands.is_empty() {
        Ok(())
    } else {
        shorthand::expand(&shape.shorthands, record, ctx)
    }
}

/// Expands shorthands and fills in values of a nested record. The error is a tree of field errors.
pub(crate) fn fill_level(
    level: Level<'_>,
    mut record: Record,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Record, Record> {
    if mode != Mode::Read {
        expand(level.shape, &mut record, ctx)?;
    }
    fill_fields(level, record, mode, ctx)
}

fn fill_fields(
    level: Level<'_>,
    mut record: Record,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Record, Record> {
    for (name, field) in level.fields() {
        let mut value = record.remove(name);
        if field.auto && mode != Mode::Read {
            value = made(name, field, value, mode, ctx);
        }
        if let Some(value) = fill_value(field, value, mode, ctx)? {
            record.insert(name.to_owned(), value);
        }
    }
    Ok(record)
}

/// The value that the gateway makes for an `auto` field, or what was given.
fn made(
    name: &str,
    field: &Field,
    value: Option<Value>,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Option<Value> {
    if field.is_uuid() {
        return match value {
            None | Some(Value::Null) if mode == Mode::Insert => {
                Some((ctx.new_id)().to_string().into())
            }
            Some(Value::Null) => None,
            value => value,
        };
    }
    if matches!(field.kind, Kind::String) {
        return match value {
            None if mode == Mode::Insert => Some((ctx.new_id)().simple().to_string().into()),
            value => value,
        };
    }
    let given = value.as_ref().is_some_and(|value| !value.is_null());
    let sets = match name {
        "created_at" => mode == Mode::Insert && !given,
        "updated_at" => true,
        _ => false,
    };
    match field.kind {
        Kind::Integer if sets => Some(ctx.now_seconds().into()),
        Kind::Number if sets => Some(Value::from(seconds_with_millis(ctx.now_millis))),
        _ => value,
    }
}

/// Milliseconds as seconds with three decimals.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this era fit the 53 bits of a double"
)]
fn seconds_with_millis(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn fill_value(
    field: &Field,
    value: Option<Value>,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Option<Value>, Record> {
    if mode == Mode::Read && field.is_required() && value.as_ref().is_some_and(Value::is_null) {
        return missing(field, mode, ctx);
    }
    if field.is_abstract {
        return Ok(match value {
            None if mode != Mode::Update && !field.is_required() => Some(Value::Null),
            value => value,
        });
    }
    if let Kind::Record(shape) = &field.kind {
        let value = match value {
            None if mode != Mode::Update && field.is_required() => missing(field, mode, ctx)?,
            value => value,
        };
        return match value {
            Some(value) => Ok(Some(fill_record(shape, value, mode, ctx)?)),
            None if mode == Mode::Update => Ok(None),
            None => missing(field, mode, ctx),
        };
    }
    let value = match (&field.kind, value) {
        (_, None) if mode == Mode::Update => return Ok(None),
        (_, None) => return missing(field, mode, ctx),
        (Kind::Array(elements), Some(Value::Array(list))) => fill_list(elements, list, mode, ctx)?,
        (Kind::Set(elements), Some(Value::Array(list))) => {
            fill_list(elements, distinct(list), mode, ctx)?
        }
        // Compat: an empty JSON object and an empty JSON array are the same table to Lua
        // (`values_of_the_declared_type_are_kept`).
        (Kind::Array(_) | Kind::Set(_), Some(Value::Object(map))) if map.is_empty() => {
            Value::Array(Vec::new())
        }
        (Kind::Map { .. }, Some(Value::Array(list))) if list.is_empty() => {
            Value::Object(Record::new())
        }
        (Kind::Map { values, .. }, Some(Value::Object(map))) => fill_map(values, map, mode, ctx)?,
        (Kind::Integer | Kind::Number, Some(value)) => whole(value),
        (_, Some(value)) => value,
    };
    Ok(Some(value))
}

fn fill_record(
    shape: &Shape,
    value: Value,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Value, Record> {
    match value {
        Value::Object(record) => Ok(Value::Object(fill_level(
            Level::of(shape),
            record,
            mode,
            ctx,
        )?)),
        Value::Array(list) if list.is_empty() => Ok(Value::Object(fill_level(
            Level::of(shape),
            Record::new(),
            mode,
            ctx,
        )?)),
        value => Ok(value),
    }
}

fn fill_list(
    elements: &Field,
    list: Vec<Value>,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Value, Record> {
    let mut filled = Vec::with_capacity(list.len());
    for element in list {
        filled.push(fill_value(elements, Some(element), mode, ctx)?.unwrap_or(Value::Null));
    }
    Ok(Value::Array(filled))
}

fn fill_map(
    values: &Field,
    map: Record,
    mode: Mode,
    ctx: &mut Context<'_>,
) -> Result<Value, Record> {
    let mut filled = Record::new();
    for (key, value) in map {
        filled.insert(
            key,
            fill_value(values, Some(value), mode, ctx)?.unwrap_or(Value::Null),
        );
    }
    Ok(Value::Object(filled))
}

/// The first of each scalar; lists and records are never the same, as in Lua.
fn distinct(list: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    let mut kept = Vec::with_capacity(list.len());
    for value in list {
        if value.is_array() || value.is_object() || seen.insert(value.clone()) {
            kept.push(value);
        }
    }
    kept
}

/// A whole number without its fraction, so that `80.0` is stored and shown as `80`.
fn whole(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() <= EXACT => {
            format!("{number:.0}")
                .parse::<i64>()
                .map_or(value, Value::from)
        }
        _ => value,
    }
}

/// The value of a field that is not given: its default, null, or nothing if it is required.
fn missing(field: &Field, mode: Mode, ctx: &mut Context<'_>) -> Result<Option<Value>, Record> {
    if let Some(default) = &field.default {
        return Ok(Some(default.clone()));
    }
    if !field.is_required() {
        return Ok(Some(Value::Null));
    }
    match &field.kind {
        Kind::Record(shape) if !field.is_abstract => {
            let mode = if mode == Mode::Read {
                Mode::Read
            } else {
                Mode::Insert
            };
            Ok(Some(Value::Object(fill_level(
                Level::of(shape),
                Record::new(),
                mode,
                ctx,
            )?)))
        }
        _ => Ok(None),
    }
}

/// Lays changes over a stored record: records merge field by field, everything else is replaced.
fn merge(level: Level<'_>, top: Record, bottom: &Record) -> Record {
    let mut merged = bottom.clone();
    for (name, value) in top {
        let value = match (
            level
                .field(&name)
                .map(|field| (&field.kind, field.is_abstract)),
            value,
            bottom.get(&name),
        ) {
            (Some((Kind::Record(shape), false)), Value::Object(new), Some(Value::Object(old))) => {
                Value::Object(merge(Level::of(shape), new, old))
            }
            (_, value, _) => value,
        };
        merged.insert(name, value);
    }
    merged
}
