//! What a store holds as a declarative configuration in the newest format.

use schema::{Record, Schema};
use serde_json::Value;
use store::{Catalog, PageRequest, Store};

use crate::yaml;

/// Writes all records of a store, entities parents first and records by id, so that equal content gives equal text.
///
/// References are ids, and computed values are marked as such (`_transform: false`), so that importing the text gives
/// the same records. Workspaces are left out.
///
/// # Errors
/// Only those of the store.
pub async fn export(store: &dyn Store, catalog: &Catalog) -> Result<String, store::Error> {
    let mut text = String::from("_format_version: \"3.0\"\n_transform: false\n");
    let exported = |schema: &&'static Schema| schema.export && schema.name != "workspaces";
    for schema in catalog.parents_first().filter(exported) {
        let records = all_records(store, schema).await?;
        if !records.is_empty() {
            yaml::write_list(&mut text, schema.name, &records);
        }
    }
    Ok(text)
}

async fn all_records(store: &dyn Store, schema: &Schema) -> Result<Vec<Record>, store::Error> {
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        ..PageRequest::default()
    };
    let mut records = Vec::new();
    loop {
        let page = store.page(schema, &request).await?;
        for mut record in page.records {
            for (field, _) in schema.foreign_fields() {
                if let Some(value) = record.get_mut(field)
                    && let Some(id) = value.get_mut("id")
                {
                    *value = Value::take(id);
                }
            }
            records.push(record);
        }
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return Ok(records),
        }
    }
}
