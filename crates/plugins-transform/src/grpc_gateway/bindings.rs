//! Which method an HTTP request calls, and with which message.

use plugin_api::{Failure, arguments};
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value};

use super::template::Template;
use crate::grpc::{Definitions, HttpRule, rules};

/// How far the name of an argument may lead into messages. Whoever reads them recurses, and a client writes the name.
const DEEPEST: usize = 32;

/// One way to call a method.
#[derive(Debug)]
pub(super) struct Binding {
    rule: HttpRule,
    template: Template,
    pub(super) method: MethodDescriptor,
}

/// Every way to call the methods of a file, in its order.
pub(super) fn bindings(definitions: &Definitions) -> Result<Vec<Binding>, Failure> {
    let mut bindings = Vec::new();
    for method in definitions.methods() {
        for rule in rules(&method) {
            let template = Template::parse(&rule.path).ok_or_else(|| {
                let name = method.full_name();
                Failure::new(format!("{name}: {} is no template of a path", rule.path))
            })?;
            bindings.push(Binding {
                rule,
                template,
                method: method.clone(),
            });
        }
    }
    Ok(bindings)
}

impl Binding {
    /// Whether it is for requests of this method.
    pub(super) fn is_by(&self, method: &str) -> bool {
        self.rule.method == method
    }

    /// The values in the path, if this is the way that a request goes.
    pub(super) fn matches(&self, method: &str, path: &str) -> Option<Vec<(&str, String)>> {
        self.is_by(method)
            .then(|| self.template.matches(path))
            .flatten()
    }

    /// The message as JSON, out of the values in the path, the query and the body.
    ///
    /// What stands in the path wins over the body: a gateway that lets a path through must be able to rely on it.
    pub(super) fn message(
        &self,
        values: Vec<(&str, String)>,
        query: &[u8],
        body: &[u8],
    ) -> Result<Value, String> {
        let kind = self.method.input();
        let mut message = Map::new();
        let body_field = self.rule.body.as_str();
        if !body_field.is_empty() && !body.is_empty() {
            let body: Value = serde_json::from_slice(body)
                .map_err(|error| format!("the body is no JSON: {error}"))?;
            match body {
                Value::Object(members) if body_field == "*" => message = members,
                _ if body_field == "*" => return Err("body must be a table".to_owned()),
                body => {
                    message.insert(body_field.to_owned(), body);
                }
            }
        }
        if body_field != "*" {
            for argument in arguments(query) {
                let name = String::from_utf8_lossy(&argument.name).into_owned();
                if name.split('.').count() > DEEPEST {
                    return Err("an argument leads too far into messages".to_owned());
                }
                let value = argument
                    .value
                    .map(|value| String::from_utf8_lossy(&value).into_owned());
                put(
                    &mut message,
                    &kind,
                    &name,
                    value.as_deref().unwrap_or("true"),
                    true,
                );
            }
        }
        for (name, value) in values {
            put(&mut message, &kind, name, &value, false);
        }
        Ok(Value::Object(message))
    }

    /// The part of an answer that the client gets.
    pub(super) fn answer(&self, message: Value) -> Value {
        let field = self.rule.response_body.as_str();
        match message {
            Value::Object(mut members) if !field.is_empty() => {
                members.remove(field).unwrap_or_default()
            }
            whole => whole,
        }
    }
}

/// Puts a text into the field that a name with dots leads to, in the form that the field's kind wants. A name that leads
/// nowhere is left out. `more` adds to a list that is there.
fn put(
    message: &mut Map<String, Value>,
    kind: &MessageDescriptor,
    name: &str,
    text: &str,
    more: bool,
) {
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let field = kind.get_field_by_name(first);
    let Some(field) = field.or_else(|| kind.get_field_by_json_name(first)) else {
        return;
    };
    // The body may call it by either name.
    let key = match message.contains_key(field.json_name()) {
        true => field.json_name().to_owned(),
        false => field.name().to_owned(),
    };
    let Some(rest) = rest else {
        let value = typed(&field.kind(), text);
        if !field.is_list() {
            message.insert(key, value);
        } else if let (true, Some(Value::Array(list))) = (more, message.get_mut(&key)) {
            list.push(value);
        } else {
            message.insert(key, Value::Array(vec![value]));
        }
        return;
    };
    let Kind::Message(kind) = field.kind() else {
        return;
    };
    if field.is_list() || field.is_map() {
        return;
    }
    let inner = message
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, &kind, rest, text, more);
    }
}

/// A text as JSON for a field of this kind; what is none stays a text, which is refused with its reason.
fn typed(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Bool => Value::Bool(!matches!(text, "0" | "false")),
        Kind::Enum(_) => match text.parse::<i32>() {
            Ok(number) => number.into(),
            Err(_) => text.into(),
        },
        _ => text.into(),
    }
}
