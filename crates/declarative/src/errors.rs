//! Everything that is wrong with a configuration, in the two shapes of Kong's answers and as text for people.
//!
//! The tree follows the document: `{"services": [null, {"port": "expected an integer"}]}`.
//! The flat list has one entry for each broken entity, wherever it was nested.

use std::fmt;

use schema::{Record, Schema};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::nested::{Node, Nodes};

const ENTITY: &str = "@entity";

/// Why a configuration was refused.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    tree: Record,
    /// The part of the tree that belongs to no entity.
    loose: Record,
    flattened: Vec<Value>,
}

impl Errors {
    /// A text that could not be read at all.
    pub(crate) fn of_text(message: String) -> Self {
        let mut errors = Self::default();
        errors.add_loose("error", message.into());
        errors
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The tree of errors.
    pub fn fields(&self) -> &Record {
        &self.tree
    }

    /// One entry for each broken entity: `entity`, `entity_type`, `entity_id`, `entity_name`, `entity_tags`, `errors`.
    pub fn flattened(&self) -> &[Value] {
        &self.flattened
    }

    /// The body of Kong's answer; with `flatten` the tree keeps only what belongs to no entity.
    pub fn to_json(&self, flatten: bool) -> Value {
        let fields = if flatten { &self.loose } else { &self.tree };
        let fields = Value::Object(fields.clone());
        let mut body = json!({
            "code": 14,
            "name": "invalid declarative configuration",
            "message": format!("declarative config is invalid: {}", schema::write_table_inline(&fields)),
            "fields": fields,
        });
        if flatten {
            body["flattened_errors"] = self.flattened.clone().into();
        }
        body
    }

    /// An error about the document itself.
    pub(crate) fn add_loose(&mut self, field: &str, error: Value) {
        self.tree.insert(field.to_owned(), error.clone());
        self.loose.insert(field.to_owned(), error);
    }

    /// An error at a place in a list of the document or of an entity that is no entity itself.
    pub(crate) fn add_to_list(
        &mut self,
        nodes: &Nodes,
        parent: Option<usize>,
        list: &str,
        place: Option<usize>,
        message: &str,
    ) {
        let error = match place {
            Some(place) => sparse(place, message.into()),
            None => message.into(),
        };
        match parent {
            Some(parent) => {
                let error = json!({ list: error });
                self.add_to_tree(&nodes.path(parent), error.clone());
                self.flatten(nodes, parent, error);
            }
            None => {
                let slot = self.tree.entry(list).or_insert(Value::Null);
                join(slot, error.clone());
                join(self.loose.entry(list).or_insert(Value::Null), error);
            }
        }
    }

    /// Errors of an entity: a tree of its fields.
    pub(crate) fn add_entity(&mut self, nodes: &Nodes, node: usize, error: Value) {
        self.add_to_tree(&nodes.path(node), error.clone());
        self.flatten(nodes, node, error);
    }

    /// An error that the tree shows below the entity's list, by position or by name.
    pub(crate) fn add_named(
        &mut self,
        nodes: &Nodes,
        node: usize,
        place: Place<'_>,
        messages: &[String],
    ) {
        let list = nodes.list[node].schema.name;
        let error = match place {
            Place::Index(index) => sparse(index, list_or_one(messages)),
            Place::Name(name) => json!({ name: messages }),
            Place::NameOfOne(name) => json!({ name: list_or_one(messages) }),
        };
        join(self.tree.entry(list).or_insert(Value::Null), error);
        self.flatten(nodes, node, json!({ ENTITY: messages }));
    }

    fn add_to_tree(&mut self, path: &[(&'static str, usize)], error: Value) {
        let nested = path.iter().rev().fold(
            error,
            |inner, (list, index)| json!({ *list: sparse(*index, inner) }),
        );
        if let Value::Object(nested) = nested {
            for (list, error) in nested {
                join(self.tree.entry(list).or_insert(Value::Null), error);
            }
        }
    }

    fn flatten(&mut self, nodes: &Nodes, node: usize, error: Value) {
        let node = &nodes.list[node];
        let mut entity = node.item.clone();
        let mut error = match error {
            Value::Object(error) => error,
            message => Record::from_iter([(ENTITY.to_owned(), message)]),
        };
        let above = node.parent.and_then(|(parent, field)| {
            let id = own_id(&nodes.list[parent].item)?;
            Some((field, id))
        });
        if let Some((field, id)) = above {
            entity.entry(field).or_insert_with(|| json!({ "id": id }));
        }
        self.flatten_references(node.schema, &mut entity, &mut error);
        self.push_flat(node.schema.name, entity, error);
    }

    /// An entity that is written in the place of a reference gets an entry of its own.
    fn flatten_references(&mut self, schema: &Schema, entity: &mut Record, error: &mut Record) {
        for (field, foreign) in schema.foreign_fields() {
            let (Some(Value::Object(inner)), Some(Value::Object(_))) =
                (entity.get(field), error.get(field))
            else {
                continue;
            };
            let inner = inner.clone();
            match own_id(&inner) {
                Some(id) => entity.insert(field.to_owned(), json!({ "id": id })),
                None => entity.remove(field),
            };
            if let Some(Value::Object(inner_error)) = error.remove(field) {
                self.push_flat(foreign.reference, inner, inner_error);
            }
        }
    }

    fn push_flat(&mut self, entity_type: &str, entity: Record, error: Record) {
        let mut errors = Vec::new();
        categorize(None, &Value::Object(error), &mut errors);
        if errors.is_empty() {
            return;
        }
        let singular = entity_type.strip_suffix('s').unwrap_or(entity_type);
        let mut entry = json!({ "entity_type": singular, "errors": errors });
        if let Some(id) = own_id(&entity) {
            entry["entity_id"] = id.into();
        }
        if let Some(name) = entity.get("name").and_then(Value::as_str)
            && !name.is_empty()
        {
            entry["entity_name"] = name.into();
        }
        if let Some(Value::Array(tags)) = entity.get("tags")
            && tags.iter().all(Value::is_string)
        {
            entry["entity_tags"] = tags.clone().into();
        }
        entry["entity"] = Value::Object(entity);
        self.flattened.push(entry);
    }
}

/// Where the tree shows an error that is found after validation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// By position in the list.
    Index(usize),
    /// By name or id, a list of messages.
    Name(&'a str),
    /// By name or id, a message.
    NameOfOne(&'a str),
}

fn list_or_one(messages: &[String]) -> Value {
    match messages {
        [message] => message.as_str().into(),
        messages => messages.to_vec().into(),
    }
}

/// The id that an entity says itself, if it is one.
fn own_id(entity: &Record) -> Option<&str> {
    let id = entity.get("id")?.as_str()?;
    Uuid::try_parse(id).is_ok().then_some(id)
}

/// A list in which only one place is taken.
fn sparse(index: usize, value: Value) -> Value {
    let mut list = vec![Value::Null; index];
    list.push(value);
    Value::Array(list)
}

/// Adds errors to a slot of the tree that may have some already.
fn join(slot: &mut Value, error: Value) {
    match (&mut *slot, error) {
        (Value::Array(list), Value::Array(more)) => {
            if list.len() < more.len() {
                list.resize(more.len(), Value::Null);
            }
            for (place, error) in list.iter_mut().zip(more) {
                if !error.is_null() {
                    join(place, error);
                }
            }
        }
        (Value::Object(fields), Value::Object(more)) => {
            for (field, error) in more {
                join(fields.entry(field).or_insert(Value::Null), error);
            }
        }
        (Value::Null, error) => *slot = error,
        (_, Value::Object(mut fields)) => {
            fields.insert(ENTITY.to_owned(), json!([slot.take()]));
            *slot = Value::Object(fields);
        }
        // A list cannot hold an error about itself, and the first message stays.
        _ => {}
    }
}

fn categorize(field: Option<&str>, error: &Value, out: &mut Vec<Value>) {
    match error {
        Value::Object(fields) => {
            for (name, error) in fields {
                if name == ENTITY {
                    about_entity(error, out);
                } else {
                    categorize(Some(&join_path(field, name)), error, out);
                }
            }
        }
        Value::Array(list) => {
            for (index, error) in list.iter().enumerate() {
                categorize(
                    Some(&join_path(field, &(index + 1).to_string())),
                    error,
                    out,
                );
            }
        }
        Value::String(message) => {
            let field = field.unwrap_or_default();
            out.push(json!({ "type": "field", "field": field, "message": message }));
        }
        _ => {}
    }
}

fn about_entity(error: &Value, out: &mut Vec<Value>) {
    match error {
        Value::Array(messages) => messages
            .iter()
            .for_each(|message| about_entity(message, out)),
        Value::String(message) => out.push(json!({ "type": "entity", "message": message })),
        _ => {}
    }
}

fn join_path(above: Option<&str>, name: &str) -> String {
    match above {
        Some(above) => format!("{above}.{name}"),
        None => name.to_owned(),
    }
}

/// One line for each message, indented by place.
impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(Value::String(message)), 1) = (self.tree.get("error"), self.tree.len()) {
            return formatter.write_str(message);
        }
        let mut lines = Vec::new();
        for (field, error) in &self.tree {
            describe(&format!("in '{field}'"), field, error, 0, &mut lines);
        }
        formatter.write_str(&lines.join("\n"))
    }
}

fn describe(place: &str, list: &str, error: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match error {
        Value::Object(fields) => {
            lines.push(format!("{indent}{place}:"));
            for (field, error) in fields {
                describe(&format!("in '{field}'"), field, error, depth + 1, lines);
            }
        }
        Value::Array(items) => {
            lines.push(format!("{indent}{place}:"));
            for (index, error) in items
                .iter()
                .enumerate()
                .filter(|(_, error)| !error.is_null())
            {
                let place = format!("- in entry {} of '{list}'", index + 1);
                describe(&place, list, error, depth + 1, lines);
            }
        }
        error => {
            let message = error
                .as_str()
                .map_or_else(|| error.to_string(), str::to_owned);
            lines.push(format!("{indent}{place}: {message}"));
        }
    }
}

impl std::error::Error for Errors {}

impl Node {
    /// The name or id by which messages speak of the entity.
    pub(crate) fn called(&self) -> &str {
        let key = self.schema.endpoint_key.and_then(|key| self.item.get(key));
        key.and_then(Value::as_str).unwrap_or(&self.id)
    }
}
