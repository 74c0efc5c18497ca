//! Checks over several fields of a record.
//!
//! The semantics are Kong's to the letter, since they decide which messages a bad record gets: when a check runs on a
//! partial record, when it runs beside fields that are already wrong, and where its error goes.

use serde_json::Value;

use crate::error::{ENTITY, REQUIRED};
use crate::path::{field_at, get_path, set_path};
use crate::prepare::Context;
use crate::rule::{display, quoted};
use crate::validate::{Level, validate_value};
use crate::{Field, Kind, Record, is_empty_value, is_reference};

/// A check over several fields, each named by a dotted path.
#[derive(Debug, Clone)]
pub enum Check {
    AtLeastOneOf(Vec<&'static str>),
    OnlyOneOf(Vec<&'static str>),
    /// Values that are given differ.
    Distinct(Vec<&'static str>),
    /// All or none.
    MutuallyRequired(Vec<&'static str>),
    /// One or none.
    MutuallyExclusive(Vec<&'static str>),
    /// Fields of one list or of the other, never of both.
    MutuallyExclusiveSets(Vec<&'static str>, Vec<&'static str>),
    Conditional(Box<Conditional>),
    ConditionalAtLeastOneOf(Box<ConditionalAtLeastOneOf>),
    Custom(CustomCheck),
}

/// If one field meets a condition, another must meet one too.
#[derive(Debug, Clone)]
pub struct Conditional {
    pub(crate) if_field: &'static str,
    pub(crate) if_match: Field,
    pub(crate) then_field: &'static str,
    pub(crate) then_match: Field,
    pub(crate) error: Option<&'static str>,
}

/// If a field meets a condition, one of several fields must be given.
#[derive(Debug, Clone)]
pub struct ConditionalAtLeastOneOf {
    pub(crate) if_field: &'static str,
    pub(crate) if_match: Field,
    pub(crate) then_fields: Vec<&'static str>,
    pub(crate) then_error: Option<&'static str>,
    pub(crate) otherwise: Option<Otherwise>,
}

/// The second arm of a [`ConditionalAtLeastOneOf`].
#[derive(Debug, Clone)]
pub(crate) struct Otherwise {
    pub(crate) if_match: Field,
    pub(crate) then_fields: Vec<&'static str>,
    pub(crate) then_error: Option<&'static str>,
}

/// A check in code.
#[derive(Debug, Clone)]
pub struct CustomCheck {
    pub(crate) fields: Vec<&'static str>,
    pub(crate) run_with_missing_fields: bool,
    pub(crate) run_with_invalid_fields: bool,
    /// Sees only the fields it names, and the time in seconds.
    pub(crate) check: fn(&Record, i64) -> Result<(), String>,
}

impl Check {
    /// At least one of these fields is not empty.
    pub fn at_least_one_of(fields: &[&'static str]) -> Self {
        Self::AtLeastOneOf(fields.to_vec())
    }

    /// Exactly one of these fields is not empty.
    pub fn only_one_of(fields: &[&'static str]) -> Self {
        Self::OnlyOneOf(fields.to_vec())
    }

    /// No two of these fields have the same value.
    pub fn distinct(fields: &[&'static str]) -> Self {
        Self::Distinct(fields.to_vec())
    }

    /// All of these fields are given, or none.
    pub fn mutually_required(fields: &[&'static str]) -> Self {
        Self::MutuallyRequired(fields.to_vec())
    }

    /// At most one of these fields is given.
    pub fn mutually_exclusive(fields: &[&'static str]) -> Self {
        Self::MutuallyExclusive(fields.to_vec())
    }

    /// Not both a field of `first` and a field of `second` are given.
    pub fn mutually_exclusive_sets(first: &[&'static str], second: &[&'static str]) -> Self {
        Self::MutuallyExclusiveSets(first.to_vec(), second.to_vec())
    }

    /// If `if_field` meets `if_match`, `then_field` must meet `then_match`.
    pub fn conditional(
        if_field: &'static str,
        if_match: Field,
        then_field: &'static str,
        then_match: Field,
    ) -> Self {
        Self::Conditional(Box::new(Conditional {
            if_field,
            if_match,
            then_field,
            then_match,
            error: None,
        }))
    }

    /// If `if_field` meets `if_match`, one of `then_fields` must be given.
    pub fn conditional_at_least_one_of(
        if_field: &'static str,
        if_match: Field,
        then_fields: &[&'static str],
    ) -> Self {
        Self::ConditionalAtLeastOneOf(Box::new(ConditionalAtLeastOneOf {
            if_field,
            if_match,
            then_fields: then_fields.to_vec(),
            then_error: None,
            otherwise: None,
        }))
    }

    /// A check in code over these fields; it runs when all are present and none is wrong.
    pub fn custom(fields: &[&'static str], check: fn(&Record, i64) -> Result<(), String>) -> Self {
        Self::Custom(CustomCheck {
            fields: fields.to_vec(),
            run_with_missing_fields: false,
            run_with_invalid_fields: false,
            check,
        })
    }

    /// The message of a condition that does not hold; `%s` stands for the field of the condition, or for the list
    /// of fields of which one is needed.
    #[must_use]
    pub fn error(mut self, message: &'static str) -> Self {
        match &mut self {
            Self::Conditional(check) => check.error = Some(message),
            Self::ConditionalAtLeastOneOf(check) => check.then_error = Some(message),
            _ => {}
        }
        self
    }

    /// The second arm of [`Check::conditional_at_least_one_of`].
    #[must_use]
    pub fn otherwise(
        mut self,
        if_match: Field,
        then_fields: &[&'static str],
        error: &'static str,
    ) -> Self {
        if let Self::ConditionalAtLeastOneOf(check) = &mut self {
            check.otherwise = Some(Otherwise {
                if_match,
                then_fields: then_fields.to_vec(),
                then_error: Some(error),
            });
        }
        self
    }

    /// Runs a custom check even if some of its fields are missing.
    #[must_use]
    pub fn even_with_missing_fields(mut self) -> Self {
        if let Self::Custom(check) = &mut self {
            check.run_with_missing_fields = true;
        }
        self
    }

    /// Runs a custom check even if some of its fields are wrong.
    #[must_use]
    pub fn even_with_invalid_fields(mut self) -> Self {
        if let Self::Custom(check) = &mut self {
            check.run_with_invalid_fields = true;
        }
        self
    }

    /// The fields that the check looks at.
    pub fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::AtLeastOneOf(fields)
            | Self::OnlyOneOf(fields)
            | Self::Distinct(fields)
            | Self::MutuallyRequired(fields)
            | Self::MutuallyExclusive(fields) => fields.clone(),
            Self::MutuallyExclusiveSets(first, second) => {
                first.iter().chain(second).copied().collect()
            }
            Self::Conditional(check) => vec![check.if_field, check.then_field],
            Self::ConditionalAtLeastOneOf(check) => {
                let otherwise = check.otherwise.iter().flat_map(|arm| &arm.then_fields);
                std::iter::once(&check.if_field)
                    .chain(&check.then_fields)
                    .chain(otherwise)
                    .copied()
                    .collect()
            }
            Self::Custom(check) => check.fields.clone(),
        }
    }

    /// Fields without which the check cannot say anything.
    fn needs(&self, field: &str) -> bool {
        match self {
            Self::OnlyOneOf(_) | Self::Distinct(_) => true,
            Self::Conditional(check) => check.if_field == field,
            Self::Custom(check) => !check.run_with_missing_fields,
            _ => false,
        }
    }

    fn runs_with_missing_fields(&self) -> bool {
        match self {
            Self::AtLeastOneOf(_)
            | Self::ConditionalAtLeastOneOf(_)
            | Self::MutuallyRequired(_)
            | Self::MutuallyExclusive(_)
            | Self::MutuallyExclusiveSets(..) => true,
            Self::OnlyOneOf(_) | Self::Distinct(_) | Self::Conditional(_) | Self::Custom(_) => {
                false
            }
        }
    }

    fn runs_with_invalid_fields(&self) -> bool {
        match self {
            Self::AtLeastOneOf(_)
            | Self::ConditionalAtLeastOneOf(_)
            | Self::OnlyOneOf(_)
            | Self::Distinct(_)
            | Self::Conditional(_) => true,
            Self::Custom(check) => check.run_with_invalid_fields,
            Self::MutuallyRequired(_)
            | Self::MutuallyExclusive(_)
            | Self::MutuallyExclusiveSets(..) => false,
        }
    }
}

/// Runs a check and adds what it finds to `errors`. A `full` record has all fields that it will ever have.
pub(crate) fn run(
    check: &Check,
    level: Level<'_>,
    input: &Record,
    full: bool,
    errors: &mut Record,
    ctx: &mut Context<'_>,
) {
    let find = |name: &str| level.field(name);
    let mut projection = Record::new();
    let mut missing = Vec::new();
    let mut any_present = false;
    let mut all_valid = true;
    for name in check.fields() {
        match get_path(input, name) {
            None => {
                if check.needs(name) {
                    missing.push(name);
                }
            }
            Some(value) => {
                any_present = true;
                let field = field_at(&find, name);
                if field
                    .is_some_and(|field| field.referenceable && matches!(field.kind, Kind::String))
                    && is_reference(value)
                {
                    return;
                }
                set_path(&mut projection, name, value.clone());
            }
        }
        all_valid &= !errors.contains_key(name);
    }
    if !all_valid && !check.runs_with_invalid_fields() {
        return;
    }
    let runs_on_nothing = check.runs_with_missing_fields() && full;
    if !any_present && !runs_on_nothing {
        return;
    }
    if !missing.is_empty() {
        let message = format!(
            "field required for entity check{}",
            if ctx.updating { " when updating" } else { "" }
        );
        for name in missing {
            set_path(errors, name, Value::String(message.clone()));
        }
        return;
    }
    if let Err(message) = verdict(check, level, &projection, errors, ctx) {
        push_entity(errors, message);
    }
}

pub(crate) fn push_entity(errors: &mut Record, message: String) {
    match errors.get_mut(ENTITY) {
        Some(Value::Array(messages)) => messages.push(Value::String(message)),
        _ => {
            errors.insert(
                ENTITY.to_owned(),
                Value::Array(vec![Value::String(message)]),
            );
        }
    }
}

fn verdict(
    check: &Check,
    level: Level<'_>,
    record: &Record,
    errors: &mut Record,
    ctx: &mut Context<'_>,
) -> Result<(), String> {
    let given = |name: &&'static str| !is_empty_value(get_path(record, name));
    let count = |names: &[&'static str]| names.iter().filter(|name| given(name)).count();
    let all = |names: &[&'static str]| quoted(names.iter().copied());
    match check {
        Check::AtLeastOneOf(names) if count(names) == 0 => Err(at_least_one_of(&all(names), ctx)),
        Check::OnlyOneOf(names) if count(names) != 1 => Err(format!(
            "exactly one of these fields must be non-empty: {}",
            all(names)
        )),
        Check::MutuallyRequired(names) if count(names) != 0 && count(names) != names.len() => {
            Err(all_or_none(names))
        }
        Check::MutuallyExclusive(names) if count(names) > 1 => Err(format!(
            "only one or none of these fields must be set: {}",
            all(names)
        )),
        Check::MutuallyExclusiveSets(first, second) if count(first) > 0 && count(second) > 0 => {
            let listed =
                |names: &[&'static str]| quoted(names.iter().filter(|name| given(name)).copied());
            Err(format!(
                "these sets are mutually exclusive: ({}), ({})",
                listed(first),
                listed(second)
            ))
        }
        Check::Distinct(names) => {
            let values: Vec<_> = names
                .iter()
                .filter(|name| given(name))
                .filter_map(|name| get_path(record, name))
                .collect();
            let repeated = values
                .iter()
                .enumerate()
                .any(|(at, value)| values[..at].contains(value));
            if repeated {
                Err(format!(
                    "values of these fields must be distinct: {}",
                    all(names)
                ))
            } else {
                Ok(())
            }
        }
        Check::Conditional(check) => conditional(check, level, record, errors, ctx),
        Check::ConditionalAtLeastOneOf(check) => {
            conditional_at_least_one_of(check, level, record, ctx)
        }
        Check::Custom(check) => (check.check)(record, ctx.now_seconds()),
        _ => Ok(()),
    }
}

pub(crate) fn all_or_none(names: &[&'static str]) -> String {
    format!(
        "all or none of these fields must be set: {}",
        quoted(names.iter().copied())
    )
}

fn at_least_one_of(list: &str, ctx: &Context<'_>) -> String {
    let when = if ctx.updating { "when updating, " } else { "" };
    format!("{when}at least one of these fields must be non-empty: {list}")
}

fn conditional(
    check: &Conditional,
    level: Level<'_>,
    record: &Record,
    errors: &mut Record,
    ctx: &mut Context<'_>,
) -> Result<(), String> {
    let find = |name: &str| level.field(name);
    let Some(if_value) = get_path(record, check.if_field) else {
        return Ok(());
    };
    let if_field = effective(field_at(&find, check.if_field), &check.if_match);
    if validate_value(&if_field, if_value, ctx).is_err() {
        return Ok(());
    }
    let failed = || {
        check.error.map_or_else(
            || {
                format!(
                    "failed conditional validation given value of field '{}'",
                    check.if_field
                )
            },
            |message| message.replacen("%s", check.if_field, 1),
        )
    };
    let then_value = get_path(record, check.then_field).unwrap_or(&Value::Null);
    if check.then_match.is_required() && then_value.is_null() {
        set_path(errors, check.then_field, Value::from(REQUIRED));
        return Err(format!(
            "failed conditional validation given value of field '{}'",
            check.if_field
        ));
    }
    let then_field = effective(field_at(&find, check.then_field), &check.then_match);
    if let Err(error) = validate_value(&then_field, then_value, ctx) {
        set_path(errors, check.then_field, error);
        return Err(failed());
    }
    Ok(())
}

fn conditional_at_least_one_of(
    check: &ConditionalAtLeastOneOf,
    level: Level<'_>,
    record: &Record,
    ctx: &mut Context<'_>,
) -> Result<(), String> {
    let find = |name: &str| level.field(name);
    let Some(if_value) = get_path(record, check.if_field) else {
        return Ok(());
    };
    let base = field_at(&find, check.if_field);
    let meets = |condition: &Field, ctx: &mut Context<'_>| {
        validate_value(&effective(base, condition), if_value, ctx).is_ok()
    };
    let (names, error) = if meets(&check.if_match, ctx) {
        (&check.then_fields, check.then_error)
    } else {
        match &check.otherwise {
            Some(arm) if meets(&arm.if_match, ctx) => (&arm.then_fields, arm.then_error),
            _ => return Ok(()),
        }
    };
    if names
        .iter()
        .any(|name| !is_empty_value(get_path(record, name)))
    {
        return Ok(());
    }
    let list = quoted(names.iter().copied());
    Err(error.map_or_else(
        || at_least_one_of(&list, ctx),
        |message| message.replacen("%s", &list, 1),
    ))
}

/// The field that a condition is about, with the rules of the condition in place of its own of the same sort.
fn effective(base: Option<&Field>, condition: &Field) -> Field {
    let Some(base) = base else {
        return condition.clone();
    };
    let mut field = base.clone();
    field.deprecation = None;
    if let Kind::InheritedList(elements) = &condition.kind {
        field.kind = match field.kind {
            Kind::Set(_) => Kind::Set(elements.clone()),
            _ => Kind::Array(elements.clone()),
        };
    }
    if condition.required.is_some() {
        field.required = condition.required;
    }
    for rule in &condition.rules {
        field = field.rule(rule.clone());
    }
    field
}

/// A choice as it is printed in the error for an unknown one.
pub(crate) fn unknown_choice(error: &str, choice: Option<&Value>) -> String {
    let choice = choice.map_or_else(|| "nil".to_owned(), display);
    error.replacen("%s", &choice, 1)
}
