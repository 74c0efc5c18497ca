//! Records in little memory: a tree of maps takes kilobytes, what a record says itself a tenth of that.

use std::sync::Arc;

use schema::{Record, Schema};
use serde_json::Value;

use crate::Error;

/// A record without what its declaration says anyway. Cloning shares it.
///
/// Only good together with the declaration that it was packed by: it is for memory, never for a disk or the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(
    /// A JSON array: the number of a declared field and its value, for each value that is not the default; `-1 - n` for a
    /// declared field that is not in the record; name and value of each field that is not declared.
    Arc<str>,
);

impl Packed {
    /// Packs a record of the entity.
    pub fn pack(schema: &Schema, record: &Record) -> Self {
        let mut items = Vec::new();
        let mut declared = 0;
        for ((name, field), number) in schema.fields().zip(0_i64..) {
            match record.get(name) {
                None => items.push(Value::from(-1 - number)),
                Some(value) => {
                    declared += 1;
                    if value != field.default_value().unwrap_or(&Value::Null) {
                        items.extend([Value::from(number), value.clone()]);
                    }
                }
            }
        }
        if declared < record.len() {
            let undeclared = record
                .iter()
                .filter(|(name, _)| schema.field(name).is_none());
            items
                .extend(undeclared.flat_map(|(name, value)| [name.as_str().into(), value.clone()]));
        }
        Self(Value::Array(items).to_string().into())
    }

    /// The record as it was.
    ///
    /// # Errors
    /// `Database`, if it was packed by another declaration.
    pub fn unpack(&self, schema: &Schema) -> Result<Record, Error> {
        let misfit = || Error::Database(format!("a record of {} cannot be unpacked", schema.name));
        let items: Vec<Value> = serde_json::from_str(&self.0).map_err(|_| misfit())?;
        let fields: Vec<_> = schema.fields().collect();
        let mut values: Vec<_> = fields
            .iter()
            .map(|(_, field)| Some(field.default_value().cloned().unwrap_or_default()))
            .collect();
        let mut record = Record::new();
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            if let Value::String(name) = item {
                record.insert(name, items.next().ok_or_else(misfit)?);
                continue;
            }
            let number = item.as_i64().ok_or_else(misfit)?;
            let (number, value) = match usize::try_from(number) {
                Ok(number) => (number, Some(items.next().ok_or_else(misfit)?)),
                Err(_) => (usize::try_from(-1 - number).map_err(|_| misfit())?, None),
            };
            *values.get_mut(number).ok_or_else(misfit)? = value;
        }
        let declared = fields.into_iter().zip(values);
        record.extend(declared.filter_map(|((name, _), value)| Some((name.to_owned(), value?))));
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
