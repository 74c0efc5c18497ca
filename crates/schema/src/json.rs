//! Declarations as JSON: the body of `GET /schemas/NAME`.

use serde_json::{Map, Value, json};

use crate::check::Check;
use crate::path::field_at;
use crate::{Deprecation, Field, Kind, Pattern, Rule, Schema, Shape, Shorthand, Subschema};

/// Whether to spell out the rules that hold without being declared: text is not empty, elements are given.
///
/// Compat: Kong prints them once a field has been validated, but never inside nested records
/// (`a_declaration_in_use_shows_what_is_implied`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Implied {
    Shown,
    Hidden,
}

impl Schema {
    /// The body of `GET /schemas/NAME`, as a node that has been in use for a while prints it.
    pub fn to_json(&self) -> Value {
        shape_to_json(&self.shape, Implied::Shown)
    }

    /// The declaration and nothing else, as a node that has just started prints it.
    pub fn declared_json(&self) -> Value {
        shape_to_json(&self.shape, Implied::Hidden)
    }
}

impl Subschema {
    /// The body of `GET /schemas/plugins/NAME` or `GET /schemas/vaults/NAME`, as a node that has been in use for a
    /// while prints it.
    pub fn to_json(&self) -> Value {
        shape_to_json(&self.shape, Implied::Shown)
    }

    /// The declaration and nothing else, as a node that has just started prints it.
    pub fn declared_json(&self) -> Value {
        shape_to_json(&self.shape, Implied::Hidden)
    }
}

fn shape_to_json(shape: &Shape, implied: Implied) -> Value {
    let mut fields = fields_to_json(&shape.fields, implied);
    let mut checks: Vec<Value> = shape
        .checks
        .iter()
        .map(|check| check_to_json(check, implied))
        .collect();
    if implied == Implied::Shown {
        for (check, shown) in shape.checks.iter().zip(&mut checks) {
            imply_by_conditions(shape, check, &mut fields, shown);
        }
    }
    json!({ "fields": fields, "entity_checks": checks })
}

/// Spells out in a condition what its field implies, where the field is one of a nested record.
///
/// Compat: a condition is checked with the declaration of its field behind it. Kong leaves what that implies in the
/// condition, or in the elements of the field, unless the field itself has it already
/// (`conditions_on_nested_fields_show_what_is_implied`).
fn imply_by_conditions(shape: &Shape, check: &Check, fields: &mut Value, shown: &mut Value) {
    let Check::Conditional(check) = check else {
        return;
    };
    let sides = [
        (check.if_field, "if_match"),
        (check.then_field, "then_match"),
    ];
    for (path, side) in sides.into_iter().filter(|(path, _)| path.contains('.')) {
        let Some(field) = field_at(&|name| shape.field(name), path) else {
            continue;
        };
        let has_length = field
            .rules
            .iter()
            .any(|rule| matches!(rule, Rule::LenMin(_)));
        match &field.kind {
            Kind::String if !has_length => {
                if let Some(Value::Object(condition)) = shown["conditional"].get_mut(side) {
                    condition.entry("len_min").or_insert_with(|| 1.into());
                }
            }
            Kind::Array(elements) | Kind::Set(elements) => {
                if let Some(field) = shown_field(fields, path) {
                    field["elements"] = part_to_json(elements, Implied::Shown);
                }
            }
            _ => {}
        }
    }
}

/// The field at a dotted path in a printed declaration.
fn shown_field<'a>(fields: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let (name, rest) = path
        .split_once('.')
        .map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = fields
        .as_array_mut()?
        .iter_mut()
        .find_map(|field| field.get_mut(name))?;
    match rest {
        Some(rest) => shown_field(field.get_mut("fields")?, rest),
        None => Some(field),
    }
}

fn fields_to_json(fields: &[(&'static str, Field)], implied: Implied) -> Value {
    fields
        .iter()
        .map(|(name, field)| json!({ *name: field_to_json(field, implied) }))
        .collect()
}

fn field_to_json(field: &Field, implied: Implied) -> Value {
    let mut out = Map::new();
    type_to_json(field, implied, &mut out);
    let mut flag = |name: &str, value: Option<bool>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.into());
        }
    };
    flag("required", field.required);
    flag("unique", field.unique);
    flag(
        "unique_across_ws",
        field.unique_across_workspaces.then_some(true),
    );
    flag("auto", field.auto.then_some(true));
    flag("encrypted", field.encrypted.then_some(true));
    flag("referenceable", field.referenceable.then_some(true));
    flag("transient", field.transient.then_some(true));
    flag("abstract", field.is_abstract.then_some(true));
    if let Some(default) = &field.default {
        out.insert("default".to_owned(), default.clone());
    }
    if let Some(error) = field.error {
        out.insert("err".to_owned(), error.into());
    }
    if let Some(deprecation) = &field.deprecation {
        out.insert("deprecation".to_owned(), deprecation_to_json(deprecation));
    }
    for rule in &field.rules {
        if let Some((name, value)) = rule_to_json(rule) {
            out.insert(name.to_owned(), value);
        }
    }
    if implied == Implied::Shown && matches!(field.kind, Kind::String) {
        out.entry("len_min").or_insert_with(|| 1.into());
    }
    if !field.description.is_empty() {
        out.insert("description".to_owned(), field.description.into());
    }
    Value::Object(out)
}

fn type_to_json(field: &Field, implied: Implied, out: &mut Map<String, Value>) {
    let name = match &field.kind {
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::Array(elements) => {
            out.insert("elements".to_owned(), part_to_json(elements, implied));
            "array"
        }
        Kind::Set(elements) => {
            out.insert("elements".to_owned(), part_to_json(elements, implied));
            "set"
        }
        Kind::Map { keys, values } => {
            out.insert("keys".to_owned(), part_to_json(keys, implied));
            out.insert("values".to_owned(), part_to_json(values, implied));
            "map"
        }
        Kind::Record(shape) => {
            record_to_json(field, shape, out);
            "record"
        }
        Kind::Foreign(foreign) => {
            out.insert("reference".to_owned(), foreign.reference.into());
            if foreign.on_delete == crate::OnDelete::Cascade {
                out.insert("on_delete".to_owned(), "cascade".into());
            }
            "foreign"
        }
        Kind::Json(format) => {
            out.insert("json_schema".to_owned(), format.shown.clone());
            "json"
        }
        Kind::Inherited => return,
        Kind::InheritedList(elements) => {
            out.insert("elements".to_owned(), part_to_json(elements, implied));
            return;
        }
    };
    out.insert("type".to_owned(), name.into());
}

fn record_to_json(field: &Field, shape: &Shape, out: &mut Map<String, Value>) {
    if !field.is_abstract {
        out.insert(
            "fields".to_owned(),
            fields_to_json(&shape.fields, Implied::Hidden),
        );
    }
    if !shape.checks.is_empty() {
        let checks = shape
            .checks
            .iter()
            .map(|check| check_to_json(check, Implied::Hidden))
            .collect();
        out.insert("entity_checks".to_owned(), checks);
    }
    if !shape.shorthands.is_empty() {
        let shorthands = shape.shorthands.iter().map(shorthand_to_json).collect();
        out.insert("shorthand_fields".to_owned(), shorthands);
    }
}

fn shorthand_to_json(shorthand: &Shorthand) -> Value {
    json!({ shorthand.name: field_to_json(&shorthand.field, Implied::Hidden) })
}

/// An element, key or value; each of them must be given.
fn part_to_json(field: &Field, implied: Implied) -> Value {
    let mut part = field_to_json(field, implied);
    if implied == Implied::Shown
        && let Value::Object(part) = &mut part
    {
        part.insert("required".to_owned(), true.into());
    }
    part
}

fn deprecation_to_json(deprecation: &Deprecation) -> Value {
    let mut out = Map::new();
    out.insert("message".to_owned(), deprecation.message.into());
    out.insert(
        "removal_in_version".to_owned(),
        deprecation.removal_in_version.into(),
    );
    if !deprecation.replaced_with.is_empty() {
        let paths = deprecation
            .replaced_with
            .iter()
            .map(|path| json!({ "path": path }))
            .collect();
        out.insert("replaced_with".to_owned(), paths);
    }
    if let Some(old_default) = &deprecation.old_default {
        out.insert("old_default".to_owned(), old_default.clone());
    }
    Value::Object(out)
}

/// The name and value of a rule; code is never shown.
fn rule_to_json(rule: &Rule) -> Option<(&'static str, Value)> {
    let shown = match rule {
        Rule::Eq(value) => ("eq", value.clone()),
        // Compat: Kong leaves this to the tables of its database (pinned by the comparison of schemas with Kong's).
        Rule::Ne(Value::Null) => return None,
        Rule::Ne(value) => ("ne", value.clone()),
        Rule::NotOneOf(values) => ("not_one_of", values.clone().into()),
        Rule::OneOf(values) => ("one_of", values.clone().into()),
        Rule::Gt(limit) => ("gt", number(*limit)),
        Rule::Timestamp => ("timestamp", true.into()),
        Rule::Uuid => ("uuid", true.into()),
        Rule::IsRegex => ("is_regex", true.into()),
        Rule::Between(low, high) => ("between", vec![number(*low), number(*high)].into()),
        Rule::LenEq(length) => ("len_eq", (*length).into()),
        Rule::LenMin(length) => ("len_min", (*length).into()),
        Rule::LenMax(length) => ("len_max", (*length).into()),
        Rule::StartsWith(text) => ("starts_with", (*text).into()),
        Rule::NotMatch(pattern) => ("not_match", pattern.as_str().into()),
        Rule::MatchNone(patterns) => ("match_none", with_errors(patterns)),
        Rule::Match(pattern) => ("match", pattern.as_str().into()),
        Rule::MatchAll(patterns) => ("match_all", with_errors(patterns)),
        Rule::MatchAny { patterns, error } => {
            let patterns: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
            let shown = match error {
                Some(error) => json!({ "patterns": patterns, "err": error }),
                None => json!({ "patterns": patterns }),
            };
            ("match_any", shown)
        }
        Rule::Contains(element) => ("contains", element.clone()),
        Rule::Custom(_) => return None,
        Rule::MutuallyExclusiveSubsets(subsets) => ("mutually_exclusive_subsets", json!(subsets)),
    };
    Some(shown)
}

fn with_errors(patterns: &[(Pattern, &'static str)]) -> Value {
    patterns
        .iter()
        .map(|(pattern, error)| json!({ "pattern": pattern.as_str(), "err": error }))
        .collect()
}

/// A number without a fraction it does not have.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}")
            .parse::<i64>()
            .map_or(Value::Null, Value::from);
    }
    Value::from(value)
}

fn check_to_json(check: &Check, implied: Implied) -> Value {
    match check {
        Check::AtLeastOneOf(fields) => json!({ "at_least_one_of": fields }),
        Check::OnlyOneOf(fields) => json!({ "only_one_of": fields }),
        Check::Distinct(fields) => json!({ "distinct": fields }),
        Check::MutuallyRequired(fields) => json!({ "mutually_required": fields }),
        Check::MutuallyExclusive(fields) => json!({ "mutually_exclusive": fields }),
        Check::MutuallyExclusiveSets(first, second) => {
            json!({ "mutually_exclusive_sets": { "set1": first, "set2": second } })
        }
        Check::Conditional(check) => {
            let mut out = json!({
                "if_field": check.if_field,
                "if_match": field_to_json(&check.if_match, implied),
                "then_field": check.then_field,
                "then_match": field_to_json(&check.then_match, implied),
            });
            set(&mut out, "then_err", check.error);
            json!({ "conditional": out })
        }
        Check::ConditionalAtLeastOneOf(check) => {
            let mut out = json!({
                "if_field": check.if_field,
                "if_match": field_to_json(&check.if_match, implied),
                "then_at_least_one_of": check.then_fields,
            });
            set(&mut out, "then_err", check.then_error);
            if let Some(arm) = &check.otherwise {
                out["else_match"] = field_to_json(&arm.if_match, implied);
                out["else_then_at_least_one_of"] = json!(arm.then_fields);
                set(&mut out, "else_then_err", arm.then_error);
            }
            json!({ "conditional_at_least_one_of": out })
        }
        Check::Custom(check) => {
            let mut out = json!({ "field_sources": check.fields });
            if check.run_with_missing_fields {
                out["run_with_missing_fields"] = true.into();
            }
            if check.run_with_invalid_fields {
                out["run_with_invalid_fields"] = true.into();
            }
            json!({ "custom_entity_check": out })
        }
    }
}

fn set(out: &mut Value, name: &str, text: Option<&'static str>) {
    if let Some(text) = text {
        out[name] = text.into();
    }
}
