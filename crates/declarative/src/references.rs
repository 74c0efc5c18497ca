//! Who is meant by a reference: by name or id, among the entities of the same document.

use std::collections::{HashMap, HashSet};

use schema::{Record, Schema};
use serde_json::{Value, json};
use store::catalog;

use crate::Errors;
use crate::errors::Place;
use crate::nested::{Node, Nodes};

/// The entities of a document by id and by name.
#[derive(Default)]
pub(crate) struct Index<'n> {
    by_id: HashMap<(&'static str, &'n str), usize>,
    by_key: HashMap<(&'static str, &'n str), usize>,
}

/// A reference to nothing.
pub(crate) struct Unresolved {
    pub(crate) node: usize,
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl<'n> Index<'n> {
    /// Indexes all nodes; ids and names that were taken before are errors.
    pub(crate) fn new(nodes: &'n Nodes, errors: &mut Errors) -> Self {
        let mut index = Self::default();
        for (at, node) in nodes.list.iter().enumerate() {
            let entity = node.schema.name;
            let key = unique_endpoint_key(node);
            if let Some((name, value)) = key
                && index.by_key.insert((entity, value), at).is_some()
            {
                let message = already_declared(entity, name, value);
                errors.add_named(nodes, at, Place::Index(node.index), &[message]);
            } else if index.by_id.insert((entity, &node.id), at).is_some() {
                let message = already_declared(entity, "primary key", &node.id);
                errors.add_entity(nodes, at, message.into());
            }
        }
        index
    }

    fn find(&self, entity: &'static str, reference: &str) -> Option<usize> {
        let id = reference.to_ascii_lowercase();
        let by_id = || self.by_id.get(&(entity, id.as_str()));
        self.by_key
            .get(&(entity, reference))
            .or_else(by_id)
            .copied()
    }

    /// Sets the references in a node's record to ids; those that point at nothing are added to `unresolved`.
    ///
    /// A reference to the entity that the node is written in is set in any case.
    pub(crate) fn resolve(
        &self,
        nodes: &Nodes,
        at: usize,
        record: &mut Record,
        unresolved: &mut Vec<Unresolved>,
    ) {
        let node = &nodes.list[at];
        for (field, foreign) in node.schema.foreign_fields() {
            let wanted = match record.get(field) {
                Some(Value::String(name)) => Some(name.as_str()),
                Some(Value::Object(value)) => value.get("id").and_then(Value::as_str),
                _ => None,
            };
            let mut id = None;
            if let Some(wanted) = wanted {
                match self.find(foreign.reference, wanted) {
                    Some(found) => id = Some(nodes.list[found].id.as_str()),
                    None => {
                        unresolved.push(Unresolved {
                            node: at,
                            field,
                            message: no_such_entry(field, record.get(field), foreign.reference),
                        });
                        // Lets validation go on; the reference is reported on its own.
                        id = Some(UNKNOWN);
                    }
                }
            }
            if let Some((parent, parent_field)) = node.parent
                && parent_field == field
            {
                id = Some(&nodes.list[parent].id);
            }
            if let Some(id) = id {
                record.insert(field.to_owned(), json!({ "id": id }));
            }
        }
    }
}

/// Stands for the id of an entity that is not there.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn unique_endpoint_key(node: &Node) -> Option<(&'static str, &str)> {
    let name = node.schema.endpoint_key?;
    let unique = node.schema.field(name)?.is_unique();
    let value = node.item.get(name)?.as_str()?;
    unique.then_some((name, value))
}

fn already_declared(entity: &str, field: &str, value: &str) -> String {
    format!(
        "uniqueness violation: '{entity}' entity with {field} set to '{value}' already declared"
    )
}

fn no_such_entry(field: &str, value: Option<&Value>, entity: &str) -> String {
    let value = match value {
        Some(Value::String(name)) => name.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    format!("invalid reference '{field}: {value}' (no such entry in '{entity}')")
}

/// Finds records that share a value that only one may have.
#[derive(Default)]
pub(crate) struct Unique {
    keys: HashMap<&'static str, Vec<catalog::UniqueKey>>,
    taken: HashSet<(&'static str, usize, Box<str>)>,
    clashes: Vec<(usize, String)>,
}

impl Unique {
    /// Looks at the record of a node.
    pub(crate) fn see(&mut self, at: usize, schema: &'static Schema, record: &Record) {
        let keys = self.keys.entry(schema.name);
        let keys = keys.or_insert_with(|| catalog::unique_keys(schema));
        for (number, key) in keys.iter().enumerate() {
            let Some(values) = key.values(record) else {
                continue;
            };
            let shown = match values.values().next() {
                Some(Value::String(value)) if values.len() == 1 => value.clone(),
                _ => schema::write_table_inline(&Value::Object(values.clone())),
            };
            let place = (schema.name, number, shown.as_str().into());
            if !self.taken.insert(place) {
                let message = already_declared(schema.name, &key.fields.join(", "), &shown);
                self.clashes.push((at, message));
            }
        }
    }

    /// Adds what was found to the errors.
    pub(crate) fn report(self, nodes: &Nodes, errors: &mut Errors) {
        for (at, message) in self.clashes {
            let place = Place::NameOfOne(nodes.list[at].called());
            errors.add_named(nodes, at, place, &[message]);
        }
    }
}
