//! A valid configuration, and the way from a document to it.

use std::collections::{BTreeMap, HashMap};

use schema::{Operation, Record, Schema, Violations};
use serde_json::{Value, json};
use store::{Catalog, Packed, catalog};
use uuid::Uuid;

use crate::errors::Place;
use crate::ids::Ids;
use crate::nested::{Collector, Nodes, take_remarks};
use crate::references::{Index, Unique, Unresolved};
use crate::{Context, Document, Errors, paths};

const FORMATS: [&str; 3] = ["1.1", "2.1", "3.0"];

/// Records that are valid together, parents first.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) records: Vec<Entry>,
    pub(crate) hash: String,
    pub(crate) warnings: Vec<String>,
}

/// One record of a configuration.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) schema: &'static Schema,
    pub(crate) packed: Packed,
    pub(crate) times: Times,
}

/// Which times the document gave; the others are those of its reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created: bool,
    pub(crate) updated: bool,
}

impl Times {
    /// Both.
    pub(crate) const GIVEN: Self = Self {
        created: true,
        updated: true,
    };

    fn of(input: &Record) -> Self {
        let given = |field: &str| input.get(field).is_some_and(Value::is_number);
        Self {
            created: given("created_at"),
            updated: given("updated_at"),
        }
    }
}

impl Config {
    /// Entity and record, each record after those it points at.
    ///
    /// # Errors
    /// None, as long as the declarations are those that it was read with.
    pub fn records(&self) -> impl Iterator<Item = Result<(&'static str, Record), store::Error>> {
        let unpack = |entry: &Entry| Ok((entry.schema.name, entry.packed.unpack(entry.schema)?));
        self.records.iter().map(unpack)
    }

    /// The hash of the document that it was read from.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What users should know although nothing is wrong, such as deprecated fields.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records by entity and id, as `POST /config` answers: a JSON object.
    ///
    /// Perf: text, because a tree of all records takes many times the memory.
    pub fn to_json(&self) -> String {
        let mut entities: BTreeMap<&str, String> = BTreeMap::new();
        for (entity, record) in self.records().flatten() {
            if let (Some(id), true) = (record.get("id"), entity != "workspaces") {
                let members = entities.entry(entity).or_default();
                let separator = if members.is_empty() { '{' } else { ',' };
                members.push(separator);
                members.push_str(&format!("{id}:"));
                members.push_str(&Value::Object(record).to_string());
            }
        }
        let entities = entities.into_iter();
        let entities = entities.map(|(entity, members)| format!("\"{entity}\":{members}}}"));
        format!("{{{}}}", entities.collect::<Vec<_>>().join(","))
    }
}

pub(crate) fn parse(document: Document, context: &Context<'_>) -> Result<Config, Errors> {
    let hash = document.hash().to_owned();
    let Document {
        mut value, yaml, ..
    } = document;
    let mut collector = Collector {
        catalog: context.catalog,
        yaml,
        plugin_configs: Record::new(),
        ids: Ids::default(),
        nodes: Nodes::default(),
        errors: Errors::default(),
    };
    let transform = take_header(&mut value, &mut collector);
    collector.take_all(&mut value);
    for field in value.keys() {
        collector.errors.add_loose(field, "unknown field".into());
    }
    let Collector {
        nodes, mut errors, ..
    } = collector;

    let mut late = Errors::default();
    let index = Index::new(&nodes, &mut late);
    let prepared = prepare(&nodes, &index, context, transform, &mut errors);
    if !errors.is_empty() {
        for Unresolved {
            node,
            field,
            message,
        } in &prepared.unresolved
        {
            errors.add_entity(&nodes, *node, json!({ *field: message }));
        }
        return Err(errors);
    }
    report_unresolved(&nodes, &prepared.unresolved, &mut late);
    if !late.is_empty() {
        return Err(late);
    }
    prepared.unique.report(&nodes, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Config {
        records: in_order(&nodes, prepared.records, context.catalog),
        hash,
        warnings: prepared.warnings,
    })
}

/// Takes what is not an entity out of the document, and brings paths to the newest format.
///
/// Answers whether values such as password hashes are still to be computed.
fn take_header(document: &mut Record, collector: &mut Collector<'_>) -> bool {
    let errors = &mut collector.errors;
    for (field, error) in take_remarks(document) {
        errors.add_loose(&field, error);
    }
    match document.remove("_format_version") {
        None | Some(Value::Null) => {
            errors.add_loose("_format_version", "required field missing".into());
        }
        Some(Value::String(version)) if FORMATS.contains(&version.as_str()) => {
            if version != "3.0" {
                paths::migrate(document);
            }
        }
        Some(Value::String(_)) => {
            let message = format!("expected one of: {}", FORMATS.join(", "));
            errors.add_loose("_format_version", message.into());
        }
        Some(_) => errors.add_loose("_format_version", "expected a string".into()),
    }
    let transform = match document.remove("_transform") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(transform)) => transform,
        Some(_) => {
            errors.add_loose("_transform", "expected a boolean".into());
            true
        }
    };
    match document.remove("_plugin_configs") {
        None | Some(Value::Null) => {}
        Some(Value::Object(configs)) => collector.plugin_configs = configs,
        Some(_) => errors.add_loose("_plugin_configs", "expected a map".into()),
    }
    transform
}

/// What validation made of the nodes.
struct Prepared {
    /// One for each node, `None` where it is not valid.
    records: Vec<Option<(Packed, Times)>>,
    unique: Unique,
    unresolved: Vec<Unresolved>,
    warnings: Vec<String>,
}

fn prepare(
    nodes: &Nodes,
    index: &Index<'_>,
    context: &Context<'_>,
    transform: bool,
    errors: &mut Errors,
) -> Prepared {
    let mut new_id = Uuid::new_v4;
    let mut schema_context = schema::Context::new(context.clock, &mut new_id, context.subschemas);
    schema_context.transform = transform;
    let mut records = Vec::with_capacity(nodes.list.len());
    let mut unique = Unique::default();
    let mut unresolved = Vec::new();
    for (at, node) in nodes.list.iter().enumerate() {
        let mut input = node.item.clone();
        if !input.contains_key("id") {
            input.insert("id".to_owned(), node.id.as_str().into());
        }
        index.resolve(nodes, at, &mut input, &mut unresolved);
        let times = Times::of(&input);
        let updated_at = input.get("updated_at").filter(|at| at.is_number()).cloned();
        let prepared = node
            .schema
            .prepare(Operation::Insert, input, None, &mut schema_context);
        match prepared {
            Ok(mut record) => {
                catalog::canonicalize_ids(node.schema, &mut record);
                // What was exported comes back as it was, also when it was written.
                if let (Some(at), true) = (updated_at, node.schema.field("updated_at").is_some()) {
                    record.insert("updated_at".to_owned(), at);
                }
                unique.see(at, node.schema, &record);
                records.push(Some((Packed::pack(node.schema, &record), times)));
            }
            Err(violations) => {
                errors.add_entity(nodes, at, Violations::into_json(violations));
                records.push(None);
            }
        }
    }
    Prepared {
        records,
        unique,
        unresolved,
        warnings: schema_context.warnings,
    }
}

/// Compat: references to nothing are listed below the name of the entity that has them.
fn report_unresolved(nodes: &Nodes, unresolved: &[Unresolved], errors: &mut Errors) {
    let mut start = 0;
    while let Some(first) = unresolved.get(start) {
        let of_node = |more: &&Unresolved| more.node == first.node;
        let messages: Vec<_> = unresolved[start..]
            .iter()
            .take_while(of_node)
            .map(|more| more.message.clone())
            .collect();
        start += messages.len();
        let name = nodes.list[first.node].called();
        errors.add_named(nodes, first.node, Place::Name(name), &messages);
    }
}

/// Parents first; within an entity as written.
fn in_order(nodes: &Nodes, records: Vec<Option<(Packed, Times)>>, catalog: &Catalog) -> Vec<Entry> {
    let rank: HashMap<_, _> = catalog
        .parents_first()
        .enumerate()
        .map(|(rank, schema)| (schema.name, rank))
        .collect();
    let mut ordered: Vec<_> = nodes
        .list
        .iter()
        .zip(records)
        .filter_map(|(node, record)| {
            let (packed, times) = record?;
            Some(Entry {
                schema: node.schema,
                packed,
                times,
            })
        })
        .collect();
    ordered.sort_by_key(|entry| rank.get(entry.schema.name).copied());
    ordered
}

#[cfg(test)]
mod tests;
