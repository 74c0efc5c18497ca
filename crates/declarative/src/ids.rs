//! Ids for entities that have none, the same at every load.
//!
//! Compat: where Kong derives an id, from the key in the Admin API or from the fields that are unique together, this
//! is the same id. Where Kong makes a random one, such as for a route without a name, it is derived from everything
//! that the entity says, so that loading a text again changes nothing.

use std::collections::HashMap;

use schema::{OnDelete, Record, Schema};
use serde_json::Value;
use uuid::Uuid;

/// The namespace of all derived ids, which is Kong's.
const ROOT: Uuid = Uuid::from_u128(0xfd02_801f_0957_4a15_a55a_c8d9_606f_30b5);

/// Stands for the workspace in keys: entities of a document do not name one.
const WORKSPACE: &str = "*";

/// The parent below which an entity is written.
#[derive(Clone, Copy)]
pub(crate) struct Parent<'a> {
    /// The foreign field that points at it.
    pub(crate) field: &'a str,
    pub(crate) id: &'a str,
}

/// Derives ids for the entities of one document.
#[derive(Default)]
pub(crate) struct Ids {
    /// How often the same content was seen, so that twins get different ids.
    twins: HashMap<Uuid, u32>,
}

impl Ids {
    /// The id of an entity that does not say its own.
    pub(crate) fn derive(
        &mut self,
        schema: &Schema,
        item: &Record,
        parent: Option<Parent<'_>>,
    ) -> Uuid {
        let namespace = Uuid::new_v5(&ROOT, schema.name.as_bytes());
        if let Some(key) = key(schema, item, parent) {
            return Uuid::new_v5(&namespace, key.as_bytes());
        }
        let above = parent.map_or("", |parent| parent.id);
        let content = format!("{above} {}", Value::Object(item.clone()));
        let id = Uuid::new_v5(&namespace, content.as_bytes());
        let twins = self.twins.entry(id).or_default();
        *twins += 1;
        match twins {
            1 => id,
            more => Uuid::new_v5(&id, &more.to_be_bytes()),
        }
    }
}

fn key(schema: &Schema, item: &Record, parent: Option<Parent<'_>>) -> Option<String> {
    if !schema.cache_key.is_empty() {
        return cache_key(schema, item, parent);
    }
    let name = schema.endpoint_key?;
    let mut key = item.get(name)?.as_str()?.to_owned();
    let field = schema.field(name)?;
    if !field.is_unique() {
        for (foreign_field, foreign) in schema.foreign_fields() {
            if foreign.on_delete == OnDelete::Cascade {
                let above = match parent {
                    Some(parent) => parent.id,
                    None => item.get(foreign_field)?.as_str()?,
                };
                key = format!("{key}:{above}");
            }
        }
        if !field.is_unique_across_workspaces() {
            key = format!("{key}:{WORKSPACE}");
        }
    }
    Some(key)
}

/// The values that are unique together; `None` if one of them is not known here.
fn cache_key(schema: &Schema, item: &Record, parent: Option<Parent<'_>>) -> Option<String> {
    let mut parts = vec![schema.name.to_owned(), WORKSPACE.to_owned()];
    for name in schema.cache_key {
        let field = schema.field(name)?;
        if field.is_auto() {
            return None;
        }
        match item.get(*name) {
            Some(Value::String(value)) => parts.push(value.clone()),
            None => match parent.filter(|parent| parent.field == *name) {
                Some(parent) => parts.push(parent.id.to_owned()),
                None if field.is_required() => return None,
                None => parts.push(String::new()),
            },
            // Compat: Kong leaves out what is neither a text nor absent.
            Some(_) => {}
        }
    }
    Some(parts.join(":"))
}
