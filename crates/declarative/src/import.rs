//! A configuration into a store that has others as well.

use std::collections::HashMap;

use schema::{Record, Schema};
use serde_json::Value;
use store::{Catalog, Mutation, Store, Version};
use uuid::Uuid;

use crate::Config;
use crate::config::{Entry, Times};

/// Records that are looked up at a time.
const BATCH: usize = 500;

/// Adds the records of a configuration to a store in one commit; those whose id is there are replaced.
///
/// A record that is there already as the document has it stays untouched, so that a second import of the same document
/// changes nothing. Times that the document does not give are those of the record that is there.
///
/// Workspaces are left out: the store has its own.
///
/// # Errors
/// A clash with what the store has, and the store's other errors.
pub async fn import(
    store: &dyn Store,
    catalog: &Catalog,
    config: &Config,
) -> Result<Version, store::Error> {
    let mut mutations = Vec::new();
    for group in config
        .records
        .chunk_by(|left, right| left.schema.name == right.schema.name)
    {
        let Some(entity) = group.first().map(|entry| entry.schema.name) else {
            continue;
        };
        if entity == "workspaces" {
            continue;
        }
        let schema = catalog
            .get(entity)
            .ok_or_else(|| store::Error::Database(format!("there is no entity {entity}")))?;
        for batch in group.chunks(BATCH) {
            for record in changed(store, schema, batch).await? {
                mutations.push(Mutation::Upsert(schema, record));
            }
        }
    }
    if mutations.is_empty() {
        return store.version().await;
    }
    store.commit(&mutations).await
}

/// Those records of a batch that the store does not have in the same form.
async fn changed(
    store: &dyn Store,
    schema: &Schema,
    batch: &[Entry],
) -> Result<Vec<Record>, store::Error> {
    let mut records = Vec::with_capacity(batch.len());
    for entry in batch {
        records.push((entry.packed.unpack(entry.schema)?, entry.times));
    }
    let ids: Vec<_> = records
        .iter()
        .filter_map(|(record, _)| id_of(record))
        .collect();
    let stored = store.get_many(schema, &ids).await?;
    let stored: HashMap<_, _> = stored
        .into_iter()
        .filter_map(|record| Some((id_of(&record)?, record)))
        .collect();
    let differing = records.into_iter().filter_map(|(mut record, times)| {
        let there = id_of(&record).and_then(|id| stored.get(&id));
        match there {
            Some(there) if is_same(there, &record, times) => None,
            Some(there) => {
                if let (false, Some(created_at)) = (times.created, there.get("created_at")) {
                    record.insert("created_at".to_owned(), created_at.clone());
                }
                Some(record)
            }
            None => Some(record),
        }
    });
    Ok(differing.collect())
}

fn id_of(record: &Record) -> Option<Uuid> {
    Uuid::try_parse(record.get("id")?.as_str()?).ok()
}

/// Whether a record says what the store says, where absent is as good as null and times count that were given.
fn is_same(stored: &Record, record: &Record, times: Times) -> bool {
    let counts = |field: &str| match field {
        "created_at" => times.created,
        "updated_at" => times.updated,
        _ => true,
    };
    let value = |side: &Record, field: &str| side.get(field).cloned().unwrap_or(Value::Null);
    let mut fields = stored.keys().chain(record.keys());
    fields.all(|field| !counts(field) || value(stored, field) == value(record, field))
}
