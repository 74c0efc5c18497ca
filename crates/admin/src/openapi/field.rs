//! Declared fields as JSON Schema.

use schema::{Field, Foreign, JsonFormat, Kind, Rule, Schema, Shape};
use serde_json::{Map, Value, json};

/// Which way a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client: shorthands may be written.
    In,
    /// To a client.
    Out,
}

/// An object with the fields of a declaration.
pub fn shape(shape: &Shape, direction: Direction) -> Value {
    let mut properties: Map<String, Value> = shape
        .fields
        .iter()
        .map(|(name, declared)| ((*name).to_owned(), field(declared, direction)))
        .collect();
    if direction == Direction::In {
        for shorthand in &shape.shorthands {
            properties.insert(
                shorthand.name().to_owned(),
                field(shorthand.field(), direction),
            );
        }
    }
    json!({ "type": "object", "properties": properties })
}

/// The fields that a new record must have.
pub fn required(schema: &Schema, given: Option<&str>) -> Vec<&'static str> {
    let missing = |name: &str, field: &Field| {
        field.is_required()
            && field.default_value().is_none()
            && !field.is_auto()
            && !is_filled(field)
            && Some(name) != given
    };
    let named_by_shorthand = !schema.shape.shorthands.is_empty();
    let fields = schema
        .fields()
        .filter(|(name, field)| missing(name, field) && !named_by_shorthand);
    fields.map(|(name, _)| name).collect()
}

/// A record that fills itself in with the defaults of its fields.
fn is_filled(field: &Field) -> bool {
    matches!(field.kind(), Kind::Record(_))
}

fn field(declared: &Field, direction: Direction) -> Value {
    let mut out = typed(declared, direction);
    for rule in declared.rules() {
        constrain(&mut out, rule);
    }
    if let Value::Object(out) = &mut out {
        if !declared.description().is_empty() {
            out.insert("description".to_owned(), declared.description().into());
        }
        if let Some(default) = declared.default_value() {
            out.insert("default".to_owned(), default.clone());
        }
        if declared.deprecation().is_some() {
            out.insert("deprecated".to_owned(), true.into());
        }
        let nullable = !declared.is_never_null();
        if nullable {
            allow_null(out);
        }
    }
    out
}

fn typed(declared: &Field, direction: Direction) -> Value {
    match declared.kind() {
        Kind::String => json!({ "type": "string" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Array(elements) => json!({ "type": "array", "items": element(elements, direction) }),
        Kind::Set(elements) => {
            json!({ "type": "array", "items": element(elements, direction), "uniqueItems": direction == Direction::Out })
        }
        Kind::Map { values, .. } => {
            json!({ "type": "object", "additionalProperties": element(values, direction) })
        }
        Kind::Record(fields) if declared.is_abstract() || fields.fields.is_empty() => {
            json!({ "type": "object" })
        }
        Kind::Record(fields) => shape(fields, direction),
        Kind::Foreign(foreign) => reference(foreign, direction),
        Kind::Json(JsonFormat { .. }) | Kind::Inherited | Kind::InheritedList(_) => json!({}),
    }
}

/// An element of a list or a value of a map, which is never null.
fn element(declared: &Field, direction: Direction) -> Value {
    let mut out = typed(declared, direction);
    for rule in declared.rules() {
        constrain(&mut out, rule);
    }
    out
}

/// A client may name the other record by its name as well.
fn reference(foreign: &Foreign, direction: Direction) -> Value {
    let mut properties = Map::from_iter([(
        "id".to_owned(),
        json!({ "type": "string", "format": "uuid" }),
    )]);
    let key = entities::get(foreign.reference).and_then(|schema| schema.endpoint_key);
    match (direction, key) {
        (Direction::In, Some(key)) => {
            properties.insert(key.to_owned(), json!({ "type": "string" }));
            json!({ "type": "object", "properties": properties })
        }
        _ => json!({ "type": "object", "properties": properties, "required": ["id"] }),
    }
}

fn constrain(out: &mut Value, rule: &Rule) {
    let Value::Object(out) = out else { return };
    let is_text = out.get("type").is_some_and(|kind| kind == "string");
    let is_list = out.get("type").is_some_and(|kind| kind == "array");
    match rule {
        Rule::OneOf(values) => {
            out.insert("enum".to_owned(), Value::Array(values.clone()));
        }
        Rule::Between(low, high) => {
            out.insert("minimum".to_owned(), number(*low));
            out.insert("maximum".to_owned(), number(*high));
        }
        Rule::Gt(limit) => {
            out.insert("exclusiveMinimum".to_owned(), number(*limit));
        }
        Rule::Uuid if is_text => {
            out.insert("format".to_owned(), "uuid".into());
        }
        Rule::IsRegex if is_text => {
            out.insert("format".to_owned(), "regex".into());
        }
        Rule::LenMin(length) if is_text => {
            out.insert("minLength".to_owned(), (*length).into());
        }
        Rule::LenMin(length) if is_list => {
            out.insert("minItems".to_owned(), (*length).into());
        }
        Rule::LenMax(length) if is_list => {
            out.insert("maxItems".to_owned(), (*length).into());
        }
        _ => {}
    }
}

fn allow_null(out: &mut Map<String, Value>) {
    if let Some(Value::String(kind)) = out.get("type") {
        let kind = kind.clone();
        out.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = out.get_mut("enum") {
        values.push(Value::Null);
    }
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
