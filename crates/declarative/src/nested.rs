//! Takes nested entities apart: each becomes a node that knows the one it was written in.

use schema::{Kind, Record, Schema};
use serde_json::Value;
use store::Catalog;

use crate::Errors;
use crate::ids::{Ids, Parent};

/// One entity of the document.
pub(crate) struct Node {
    pub(crate) schema: &'static Schema,
    /// What it says itself, as it is written.
    pub(crate) item: Record,
    /// Its id, given or derived.
    pub(crate) id: String,
    /// Its place in its list.
    pub(crate) index: usize,
    /// The node that it is written in, and the field that points there.
    pub(crate) parent: Option<(usize, &'static str)>,
}

/// The entities of a document, each after the one it is written in.
#[derive(Default)]
pub(crate) struct Nodes {
    pub(crate) list: Vec<Node>,
}

impl Nodes {
    /// Lists and places from the document down to a node.
    pub(crate) fn path(&self, node: usize) -> Vec<(&'static str, usize)> {
        let mut path = Vec::new();
        let mut next = Some(node);
        while let Some(at) = next {
            let node = &self.list[at];
            path.push((node.schema.name, node.index));
            next = node.parent.map(|(parent, _)| parent);
        }
        path.reverse();
        path
    }
}

/// Words that YAML 1.1, and so Kong, reads as booleans.
const TRUE: [&str; 9] = ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "TRUE"];
const FALSE: [&str; 9] = ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "FALSE"];

/// Takes the entities out of a document.
pub(crate) struct Collector<'a> {
    pub(crate) catalog: &'a Catalog,
    /// Whether words such as `yes` may stand for booleans.
    pub(crate) yaml: bool,
    /// Plugin configurations that plugins may name.
    pub(crate) plugin_configs: Record,
    pub(crate) ids: Ids,
    pub(crate) nodes: Nodes,
    pub(crate) errors: Errors,
}

impl Collector<'_> {
    /// Takes every list of entities out of the top level.
    pub(crate) fn take_all(&mut self, document: &mut Record) {
        for schema in self.catalog.parents_first().filter(|schema| schema.export) {
            if let Some(list) = document.remove(schema.name) {
                self.take_list(schema, list, None);
            }
        }
    }

    fn take_list(
        &mut self,
        schema: &'static Schema,
        list: Value,
        parent: Option<(usize, &'static str)>,
    ) {
        let above = parent.map(|(parent, _)| parent);
        let items = match list {
            Value::Null => return,
            Value::Object(fields) if fields.is_empty() => return,
            Value::Array(items) => items,
            _ => {
                let message = "expected an array";
                return self
                    .errors
                    .add_to_list(&self.nodes, above, schema.name, None, message);
            }
        };
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::Object(item) => self.take(schema, item, index, parent),
                Value::Array(item) if item.is_empty() => {
                    self.take(schema, Record::new(), index, parent);
                }
                _ => {
                    let (name, place) = (schema.name, Some(index));
                    let message = "expected a record";
                    self.errors
                        .add_to_list(&self.nodes, above, name, place, message);
                }
            }
        }
    }

    fn take(
        &mut self,
        schema: &'static Schema,
        mut item: Record,
        index: usize,
        parent: Option<(usize, &'static str)>,
    ) {
        let mut children = Vec::new();
        for child in self.catalog.children(schema.name) {
            let name = child.schema.name;
            let is_list = schema.field(name).is_none_or(schema::Field::is_transient);
            if is_list
                && child.schema.export
                && let Some(list) = item.remove(name)
            {
                children.push((child.schema, list, child.field));
            }
        }
        let mut remarks = take_remarks(&mut item);
        if schema.name == "plugins" {
            self.apply_plugin_config(&mut item, &mut remarks);
        }
        if self.yaml {
            read_booleans(schema, &mut item);
        }
        let id = match item.get("id") {
            Some(Value::String(id)) => id.to_ascii_lowercase(),
            _ => {
                let above = parent.map(|(parent, field)| Parent {
                    field,
                    id: &self.nodes.list[parent].id,
                });
                self.ids.derive(schema, &item, above).to_string()
            }
        };
        let node = self.nodes.list.len();
        self.nodes.list.push(Node {
            schema,
            item,
            id,
            index,
            parent,
        });
        if !remarks.is_empty() {
            self.errors
                .add_entity(&self.nodes, node, Value::Object(remarks));
        }
        for (child, list, field) in children {
            self.take_list(child, list, Some((node, field)));
        }
    }

    /// `_config` names an entry of `_plugin_configs`, to which the plugin's own `config` is added.
    fn apply_plugin_config(&self, plugin: &mut Record, errors: &mut Record) {
        let Some(name) = plugin.remove("_config") else {
            return;
        };
        let shared = name.as_str().and_then(|name| self.plugin_configs.get(name));
        let Some(Value::Object(shared)) = shared else {
            let message = format!("no such entry in '_plugin_configs': {name}");
            errors.insert("_config".to_owned(), message.into());
            return;
        };
        let own = plugin.remove("config").unwrap_or(Value::Null);
        let mut config = Value::Object(shared.clone());
        overlay(&mut config, own);
        plugin.insert("config".to_owned(), config);
    }
}

/// Takes `_comment` and `_ignore` out of a record and says what is wrong with them.
pub(crate) fn take_remarks(record: &mut Record) -> Record {
    let mut errors = Record::new();
    let wrong = |value: Option<Value>, good: fn(&Value) -> bool| {
        value.is_some_and(|value| !value.is_null() && !good(&value))
    };
    if wrong(record.remove("_comment"), Value::is_string) {
        errors.insert("_comment".to_owned(), "expected a string".into());
    }
    if wrong(record.remove("_ignore"), Value::is_array) {
        errors.insert("_ignore".to_owned(), "expected an array".into());
    }
    errors
}

fn read_booleans(schema: &Schema, item: &mut Record) {
    for (name, field) in schema.fields() {
        if matches!(field.kind(), Kind::Boolean)
            && let Some(value) = item.get_mut(name)
            && let Some(word) = value.as_str()
        {
            if TRUE.contains(&word) {
                *value = Value::Bool(true);
            } else if FALSE.contains(&word) {
                *value = Value::Bool(false);
            }
        }
    }
}

fn overlay(base: &mut Value, own: Value) {
    match (base, own) {
        (Value::Object(base), Value::Object(own)) => {
            for (name, value) in own {
                overlay(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, own) => *base = own,
    }
}
