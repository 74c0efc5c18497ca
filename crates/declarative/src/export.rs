//! What a store holds as a declarative configuration in the newest format.

use schema::{Record, Schema};
use serde_json::Value;
use store::bulk::Sink;
use store::{Catalog, Store};

use crate::yaml;

/// How often a store that cannot read one state in spite of writers is asked.
const ATTEMPTS: u32 = 5;

/// Writes all records of a store, entities parents first and records by id, so that equal content gives equal text.
///
/// All of them are as they are at one version, so that no reference is missing. References are ids, and computed values
/// are marked as such (`_transform: false`), so that importing the text gives the same records. Workspaces are left out.
///
/// # Errors
/// Only those of the store.
pub async fn export(store: &dyn Store, catalog: &Catalog) -> Result<String, store::Error> {
    let exported = |schema: &&'static Schema| schema.export && schema.name != "workspaces";
    let schemas: Vec<_> = catalog.parents_first().filter(exported).collect();
    let mut attempt = 1;
    loop {
        let mut text = Text {
            written: String::from("_format_version: \"3.0\"\n_transform: false\n"),
            entity: "",
        };
        match store.read_all(&schemas, &mut text).await {
            Ok(_) => return Ok(text.written),
            Err(store::Error::Conflict) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The document as far as it is written.
struct Text {
    written: String,
    /// The entity whose records come last.
    entity: &'static str,
}

#[async_trait::async_trait]
impl Sink for Text {
    async fn take(
        &mut self,
        schema: &'static Schema,
        mut records: Vec<Record>,
    ) -> Result<(), store::Error> {
        if records.is_empty() {
            return Ok(());
        }
        for record in &mut records {
            refer_by_id(schema, record);
        }
        if self.entity != schema.name {
            yaml::write_name(&mut self.written, schema.name);
            self.entity = schema.name;
        }
        yaml::write_items(&mut self.written, &records);
        Ok(())
    }
}

fn refer_by_id(schema: &Schema, record: &mut Record) {
    for (field, _) in schema.foreign_fields() {
        if let Some(value) = record.get_mut(field)
            && let Some(id) = value.get_mut("id")
        {
            *value = Value::take(id);
        }
    }
}
