//! The declarations as a graph: who points at whom, what must be unique, and in which order to write.

use std::collections::{HashMap, HashSet};

use schema::{Foreign, OnDelete, Record, Schema};
use serde_json::Value;

/// All entities that a store keeps.
///
/// Entities that are not identified by an `id` are views or internal, and are left out.
#[derive(Debug, Clone)]
pub struct Catalog {
    parents_first: Vec<&'static Schema>,
    by_name: HashMap<&'static str, &'static Schema>,
    children: HashMap<&'static str, Vec<Child>>,
}

/// A foreign field, seen from the entity that it points at.
#[derive(Debug, Clone, Copy)]
pub struct Child {
    /// The entity that has the field.
    pub schema: &'static Schema,
    pub field: &'static str,
    pub on_delete: OnDelete,
}

/// Fields whose values, taken together, belong to one record at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKey {
    pub fields: Vec<&'static str>,
    /// Whether `null` counts as a value; for a single field it does not, any number of records may lack it.
    pub nulls_clash: bool,
}

impl Catalog {
    /// The catalog of `schemas`; a reference to an entity that is not among them is no relation.
    pub fn new(schemas: &'static [Schema]) -> Self {
        let kept = || schemas.iter().filter(|schema| schema.primary_key == "id");
        let by_name: HashMap<_, _> = kept().map(|schema| (schema.name, schema)).collect();
        let mut children: HashMap<_, Vec<Child>> = HashMap::new();
        for schema in kept() {
            for (field, foreign) in schema.foreign_fields() {
                children.entry(foreign.reference).or_default().push(Child {
                    schema,
                    field,
                    on_delete: foreign.on_delete,
                });
            }
        }
        let mut parents_first = Vec::with_capacity(by_name.len());
        let mut seen = HashSet::new();
        for schema in kept() {
            visit(schema, &by_name, &mut seen, &mut parents_first);
        }
        Self {
            parents_first,
            by_name,
            children,
        }
    }

    /// The declaration of an entity, or `None` if the store does not keep it.
    pub fn get(&self, entity: &str) -> Option<&'static Schema> {
        self.by_name.get(entity).copied()
    }

    /// Every entity, each after those it points at.
    pub fn parents_first(&self) -> impl DoubleEndedIterator<Item = &'static Schema> + '_ {
        self.parents_first.iter().copied()
    }

    /// The foreign fields that point at an entity.
    pub fn children(&self, entity: &str) -> &[Child] {
        self.children.get(entity).map_or(&[], Vec::as_slice)
    }
}

fn visit(
    schema: &'static Schema,
    by_name: &HashMap<&'static str, &'static Schema>,
    seen: &mut HashSet<&'static str>,
    order: &mut Vec<&'static Schema>,
) {
    if !seen.insert(schema.name) {
        return;
    }
    for (_, foreign) in schema.foreign_fields() {
        if let Some(parent) = by_name.get(foreign.reference) {
            visit(parent, by_name, seen, order);
        }
    }
    order.push(schema);
}

/// What must be unique in an entity besides the id: each unique field, and the fields of the cache key together.
pub fn unique_keys(schema: &Schema) -> Vec<UniqueKey> {
    let mut keys: Vec<_> = schema
        .unique_fields()
        .filter(|(name, _)| *name != schema.primary_key)
        .map(|(name, _)| UniqueKey {
            fields: vec![name],
            nulls_clash: false,
        })
        .collect();
    let declared = |name: &&'static str| schema.field(name).is_some();
    let together: Vec<_> = schema.cache_key.iter().copied().filter(declared).collect();
    if together.len() > 1 {
        keys.push(UniqueKey {
            fields: together,
            nulls_clash: true,
        });
    }
    keys
}

impl UniqueKey {
    /// The key's values in a record, absent ones as `null`; `None` if they cannot clash with another record's.
    pub fn values(&self, record: &Record) -> Option<Record> {
        let value = |field: &&str| record.get(*field).cloned().unwrap_or(Value::Null);
        let values: Record = self
            .fields
            .iter()
            .map(|field| ((*field).to_owned(), value(field)))
            .collect();
        let clashes = self.nulls_clash || values.values().all(|value| !value.is_null());
        clashes.then_some(values)
    }
}

/// The id that a foreign field holds, `None` if it is null or absent.
pub fn foreign_id<'r>(record: &'r Record, field: &str) -> Option<&'r str> {
    record.get(field)?.get("id")?.as_str()
}

/// Writes the id and the references of a record in lower case, so that equal ids are equal texts.
pub fn canonicalize_ids(schema: &Schema, record: &mut Record) {
    let lower = |id: Option<&mut Value>| {
        if let Some(Value::String(id)) = id {
            id.make_ascii_lowercase();
        }
    };
    lower(record.get_mut("id"));
    for (field, _) in schema.foreign_fields() {
        lower(record.get_mut(field).and_then(|value| value.get_mut("id")));
    }
}

/// Fields that a row of the entity has: everything that is not kept elsewhere.
pub fn stored_fields(schema: &Schema) -> impl Iterator<Item = (&'static str, &schema::Field)> {
    schema.fields().filter(|(_, field)| !field.is_transient())
}

/// The declaration of a foreign field.
pub fn foreign<'s>(schema: &'s Schema, field: &str) -> Option<&'s Foreign> {
    schema.field(field)?.foreign()
}
