//! Checking a record against its declaration.

use serde_json::Value;

use crate::check::{self, all_or_none, push_entity, unknown_choice};
use crate::error::{REQUIRED, UNKNOWN};
use crate::path::get_path;
use crate::prepare::{Context, Mode, Subschemas, fill_level};
use crate::{
    Field, Foreign, Kind, Record, Rule, Schema, Shape, Subschema, Transformation, is_empty_value,
    is_reference,
};

/// One record's declaration: its shape, and what a choice adds to it.
#[derive(Clone, Copy)]
pub(crate) struct Level<'a> {
    pub shape: &'a Shape,
    pub choice: Option<&'a Subschema>,
}

impl<'a> Level<'a> {
    pub fn of(shape: &'a Shape) -> Self {
        Self {
            shape,
            choice: None,
        }
    }

    pub fn field(&self, name: &str) -> Option<&'a Field> {
        let declared = self.shape.field(name)?;
        Some(
            self.choice
                .and_then(|choice| choice.shape.field(name))
                .unwrap_or(declared),
        )
    }

    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'a Field)> + use<'a> {
        let choice = self.choice;
        self.shape.fields.iter().map(move |(name, declared)| {
            (
                *name,
                choice
                    .and_then(|choice| choice.shape.field(name))
                    .unwrap_or(declared),
            )
        })
    }
}

impl Schema {
    /// What the record's choice adds to the declaration; `None` without a choice, or for an unknown one.
    pub fn subschema_of<'a>(
        &'a self,
        record: &Record,
        subschemas: &'a dyn Subschemas,
    ) -> Option<&'a Subschema> {
        let key = self.subschema.as_ref()?;
        let find = |choice: &Value| -> Option<&'a Subschema> {
            let choice = choice.as_str()?;
            if key.choices.is_empty() {
                return subschemas.find(self.name, choice);
            }
            key.choices
                .iter()
                .find(|(name, _)| *name == choice)
                .map(|(_, subschema)| subschema)
        };
        match record.get(key.field)? {
            Value::Array(choices) => choices.iter().find_map(find),
            choice => find(choice),
        }
    }

    /// Says what is wrong with the value of one field, as when a record is looked up by it.
    pub fn validate_field(
        &self,
        name: &str,
        value: &Value,
        ctx: &mut Context<'_>,
    ) -> Result<(), Value> {
        match self.field(name) {
            Some(field) => validate_value(field, value, ctx),
            None => Err(UNKNOWN.into()),
        }
    }

    pub(crate) fn level<'a>(
        &'a self,
        record: &Record,
        subschemas: &'a dyn Subschemas,
    ) -> Level<'a> {
        Level {
            shape: &self.shape,
            choice: self.subschema_of(record, subschemas),
        }
    }

    /// Errors of a record; a `full` one must have all required fields.
    pub(crate) fn errors(&self, record: &Record, full: bool, ctx: &mut Context<'_>) -> Record {
        let subschemas = ctx.subschemas;
        if let Some(key) = &self.subschema {
            let choice = match record.get(key.field) {
                None | Some(Value::Null) => {
                    return Record::from_iter([(key.field.to_owned(), REQUIRED.into())]);
                }
                Some(choice) => choice,
            };
            if self.subschema_of(record, subschemas).is_none() {
                let shown = match choice {
                    Value::Array(choices) => choices.first(),
                    choice => Some(choice),
                };
                return Record::from_iter([(
                    key.field.to_owned(),
                    unknown_choice(key.error, shown).into(),
                )]);
            }
        }
        level_errors(self.level(record, subschemas), record, full, self.ttl, ctx)
    }

    /// Adds the errors of transformations whose input is incomplete.
    pub(crate) fn transformation_errors(
        &self,
        record: &Record,
        input: &Record,
        stored: Option<&Record>,
        errors: &mut Record,
        ctx: &Context<'_>,
    ) {
        for transformation in self.transformations_of(record, ctx.subschemas) {
            let given = transformation
                .input
                .iter()
                .any(|name| !is_empty_value(get_path(input, name)));
            let changed = stored.is_some_and(|stored| {
                transformation.needs.iter().any(|name| {
                    get_path(input, name).unwrap_or(&Value::Null)
                        != get_path(stored, name).unwrap_or(&Value::Null)
                        && get_path(input, name).is_some()
                })
            });
            if !given && !changed {
                continue;
            }
            let all: Vec<_> = transformation
                .input
                .iter()
                .chain(transformation.needs)
                .copied()
                .collect();
            let complete = |record: &Record, names: &[&'static str]| {
                let given = names
                    .iter()
                    .filter(|name| !is_empty_value(get_path(record, name)))
                    .count();
                given == 0 || given == names.len()
            };
            if !complete(if changed { input } else { record }, &all) {
                push_entity(errors, all_or_none(&all));
            } else if !complete(input, transformation.input) {
                push_entity(errors, all_or_none(transformation.input));
            }
        }
    }

    pub(crate) fn transformations_of<'a>(
        &'a self,
        record: &Record,
        subschemas: &'a dyn Subschemas,
    ) -> impl Iterator<Item = &'a Transformation> {
        let chosen = self.subschema_of(record, subschemas);
        self.transformations.iter().chain(
            chosen
                .into_iter()
                .flat_map(|choice| &choice.transformations),
        )
    }
}

/// Errors of one record, field by field and then over several fields.
pub(crate) fn level_errors(
    level: Level<'_>,
    record: &Record,
    full: bool,
    ttl: bool,
    ctx: &mut Context<'_>,
) -> Record {
    let mut errors = Record::new();
    for (name, value) in record {
        if name == "updated_at" {
            continue;
        }
        let outcome = match level.field(name) {
            Some(field) => validate_value(field, value, ctx),
            None if name == "ttl" && ttl => validate_value(&ttl_field(), value, ctx),
            None => Err(UNKNOWN.into()),
        };
        if let Err(error) = outcome {
            errors.insert(name.clone(), error);
        }
    }
    for (name, declared) in &level.shape.fields {
        let missing = match record.get(*name) {
            None => full,
            Some(value) => value.is_null(),
        };
        if missing && declared.is_required() {
            errors.insert((*name).to_owned(), REQUIRED.into());
        }
    }
    for check in &level.shape.checks {
        check::run(
            check,
            Level::of(level.shape),
            record,
            full,
            &mut errors,
            ctx,
        );
    }
    for check in level.choice.iter().flat_map(|choice| &choice.shape.checks) {
        check::run(check, level, record, full, &mut errors, ctx);
    }
    errors
}

/// How many seconds a record lives; 0 for ever.
fn ttl_field() -> Field {
    const LONGEST: u32 = 100_000_000;
    Field::integer("").between(0, LONGEST)
}

/// Says what is wrong with a value: a message, or a tree for lists and records.
pub(crate) fn validate_value(
    field: &Field,
    value: &Value,
    ctx: &mut Context<'_>,
) -> Result<(), Value> {
    if value.is_null() {
        return validate_null(field).map_err(Value::String);
    }
    if field
        .rules
        .iter()
        .any(|rule| matches!(rule, Rule::Eq(Value::Null)))
    {
        return Err(field.error.unwrap_or("value must be null").into());
    }
    if field.is_abstract {
        return Err("error in schema definition: abstract field was not specialized".into());
    }
    if let Some(deprecation) = &field.deprecation
        && deprecation.old_default.as_ref() != Some(value)
    {
        ctx.warn(deprecation.message);
    }
    if validate_type(field, value, ctx)? == Verdict::Settled {
        return validate_text(value);
    }
    let implied = Rule::LenMin(1);
    let least = matches!(field.kind, Kind::String)
        && !field
            .rules
            .iter()
            .any(|rule| matches!(rule, Rule::LenMin(_)));
    let split = field
        .rules
        .partition_point(|rule| rule.order() < implied.order());
    let rules = field.rules[..split]
        .iter()
        .chain(least.then_some(&implied))
        .chain(&field.rules[split..]);
    for rule in rules {
        if let Err(message) = rule.check(value) {
            return Err(field.error.map_or(message, str::to_owned).into());
        }
    }
    validate_text(value)
}

/// Refuses the one character that not every store can keep.
fn validate_text(value: &Value) -> Result<(), Value> {
    if value.as_str().is_some_and(|text| text.contains('\0')) {
        return Err("the character NUL cannot be stored".into());
    }
    Ok(())
}

fn validate_null(field: &Field) -> Result<(), String> {
    for rule in &field.rules {
        match rule {
            Rule::Ne(Value::Null) => {
                return Err(field.error.unwrap_or("value must not be null").to_owned());
            }
            Rule::Eq(wanted) if !wanted.is_null() => return rule.check(&Value::Null),
            _ => {}
        }
    }
    if field.is_required() {
        Err(REQUIRED.to_owned())
    } else {
        Ok(())
    }
}

#[derive(PartialEq)]
enum Verdict {
    /// The value has the type; the rules come next.
    Typed,
    /// Nothing more to check.
    Settled,
}

fn validate_type(field: &Field, value: &Value, ctx: &mut Context<'_>) -> Result<Verdict, Value> {
    let typed = |fits: bool, message: &str| {
        if fits {
            Ok(Verdict::Typed)
        } else {
            Err(Value::from(message))
        }
    };
    match &field.kind {
        Kind::String => {
            if field.referenceable && is_reference(value) {
                return Ok(Verdict::Settled);
            }
            typed(value.is_string(), "expected a string")
        }
        Kind::Integer => typed(is_integer(value), "expected an integer"),
        Kind::Number => typed(value.is_number(), "expected a number"),
        Kind::Boolean => typed(value.is_boolean(), "expected a boolean"),
        Kind::Array(elements) => validate_elements(elements, value, "expected an array", ctx),
        Kind::Set(elements) => validate_elements(elements, value, "expected a set", ctx),
        Kind::Map { keys, values } => validate_map(keys, values, value, ctx),
        Kind::Record(shape) => {
            let Value::Object(record) = value else {
                return Err("expected a record".into());
            };
            let level = Level::of(shape);
            let filled =
                fill_level(level, record.clone(), Mode::Insert, ctx).map_err(Value::Object)?;
            let errors = level_errors(level, &filled, true, false, ctx);
            if errors.is_empty() {
                Ok(Verdict::Typed)
            } else {
                Err(Value::Object(errors))
            }
        }
        Kind::Foreign(foreign) => {
            validate_foreign(foreign, value, ctx)?;
            Ok(Verdict::Typed)
        }
        Kind::Json(format) => {
            (format.validate)(value).map_err(Value::String)?;
            Ok(Verdict::Typed)
        }
        Kind::Inherited | Kind::InheritedList(_) => Ok(Verdict::Typed),
    }
}

/// Whether a number is whole; `1.0` is, as in Lua.
fn is_integer(value: &Value) -> bool {
    value
        .as_f64()
        .is_some_and(|number| number.is_finite() && number.fract() == 0.0)
}

fn validate_required(field: &Field, value: &Value, ctx: &mut Context<'_>) -> Result<(), Value> {
    if value.is_null() && !field.is_required() {
        validate_null(field).map_err(Value::String)?;
        return Err(REQUIRED.into());
    }
    validate_value(field, value, ctx)
}

fn validate_elements(
    elements: &Field,
    value: &Value,
    expected: &str,
    ctx: &mut Context<'_>,
) -> Result<Verdict, Value> {
    let Value::Array(list) = value else {
        return Err(expected.into());
    };
    let mut errors = Vec::new();
    for (at, element) in list.iter().enumerate() {
        if let Err(error) = validate_required(elements, element, ctx) {
            errors.resize(at, Value::Null);
            errors.push(error);
        }
    }
    if errors.is_empty() {
        Ok(Verdict::Typed)
    } else {
        Err(Value::Array(errors))
    }
}

fn validate_map(
    keys: &Field,
    values: &Field,
    value: &Value,
    ctx: &mut Context<'_>,
) -> Result<Verdict, Value> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                validate_required(keys, &Value::from(key.as_str()), ctx)?;
                validate_required(values, value, ctx)?;
            }
            Ok(Verdict::Typed)
        }
        // Compat: a list is a table whose keys are numbers (`names_of_headers_of_routes`).
        Value::Array(_) => Err("expected a string".into()),
        _ => Err("expected a map".into()),
    }
}

/// A reference is a record with the primary key of the other entity.
///
/// Compat: when the key is wrong or absent, the errors of the whole value as a partial record of that entity come
/// first (`services` in the tests of `entities`).
fn validate_foreign(foreign: &Foreign, value: &Value, ctx: &mut Context<'_>) -> Result<(), Value> {
    let subschemas = ctx.subschemas;
    let schema = subschemas.entity(foreign.reference);
    let key = schema.map_or("id", |schema| schema.primary_key);
    let uuid = Field::string("").uuid();
    let declared = schema.and_then(|schema| schema.field(key)).unwrap_or(&uuid);
    let record = value.as_object();
    let error = match record.and_then(|record| record.get(key)) {
        None | Some(Value::Bool(false)) => Value::from("missing primary key"),
        Some(Value::Null) => REQUIRED.into(),
        Some(given) => match validate_value(declared, given, ctx) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
    };
    if let (Some(schema), Some(record)) = (schema, record) {
        let errors = schema.errors(record, false, ctx);
        if !errors.is_empty() {
            return Err(Value::Object(errors));
        }
    }
    Err(Value::Object(Record::from_iter([(key.to_owned(), error)])))
}
