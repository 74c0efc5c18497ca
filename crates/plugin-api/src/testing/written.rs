//! Records that a test wrote down, in place of a store.

use std::sync::Arc;

use parking_lot::Mutex;
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::{BoxFuture, By, Epoch, Lookup, Records, Unavailable, WriteError, Writer};

/// Records that a test wrote down, and those that plugins write; it knows no declarations, and checks nothing but that
/// ids are free.
#[derive(Default)]
pub struct FakeRecords {
    records: Mutex<Vec<(&'static str, Arc<Record>)>>,
    /// Of all entities together.
    epoch: Epoch,
    /// Whether the store is out of reach.
    pub away: bool,
    /// Whether nothing can be written.
    pub read_only: bool,
}

impl FakeRecords {
    /// The same with one record more.
    #[must_use]
    pub fn with(self, entity: &'static str, record: Value) -> Self {
        let record = record.as_object().cloned().unwrap_or_default();
        self.records.lock().push((entity, Arc::new(record)));
        self
    }

    fn of(&self, entity: &str, holds: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        let records = self.records.lock();
        let found = records
            .iter()
            .filter(|(of, record)| *of == entity && holds(record));
        found.map(|(_, record)| record.clone()).collect()
    }

    fn answer<T: Send + 'static>(&self, known: T) -> Lookup<T> {
        if self.away {
            let error = Unavailable("a test took the store away".to_owned());
            return Lookup::Fetch(Box::pin(std::future::ready(Err(error))));
        }
        Lookup::Known(known)
    }

    /// The outcome of a write.
    fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Vec<(&'static str, Arc<Record>)>) -> Result<T, WriteError>,
    ) -> BoxFuture<Result<T, WriteError>> {
        let outcome = if self.away {
            let reason = "a test took the store away".to_owned();
            Err(WriteError::Unavailable(reason))
        } else if self.read_only {
            Err(WriteError::ReadOnly("a test has no database".to_owned()))
        } else {
            let outcome = change(&mut self.records.lock());
            self.epoch.advance();
            outcome
        };
        Box::pin(std::future::ready(outcome))
    }
}

impl Records for FakeRecords {
    fn find(&self, entity: &'static str, by: By<'_>) -> Lookup<Option<Arc<Record>>> {
        let id;
        let (field, value) = match by {
            By::Id(wanted) => {
                id = wanted.to_string();
                ("id", id.as_str())
            }
            By::Unique(field, value) => (field, value),
        };
        let found = self.of(entity, |record| text(record, field) == Some(value));
        self.answer(found.into_iter().next())
    }

    fn children(
        &self,
        entity: &'static str,
        foreign: &'static str,
        id: Uuid,
    ) -> Lookup<Arc<[Arc<Record>]>> {
        let id = id.to_string();
        let parent = |record: &Record| {
            let parent = record
                .get(foreign)
                .and_then(|parent| parent.get("id")?.as_str());
            parent == Some(id.as_str())
        };
        self.answer(self.of(entity, parent).into())
    }

    fn epoch(&self, _entity: &'static str) -> Epoch {
        self.epoch.clone()
    }
}

impl Writer for FakeRecords {
    fn insert(
        &self,
        entity: &'static str,
        mut record: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        self.write(|records| {
            let id = Uuid::from_u128(0x1000 + records.len() as u128).to_string();
            let id = record.entry("id").or_insert_with(|| id.into()).clone();
            if records
                .iter()
                .any(|(of, other)| *of == entity && other.get("id") == Some(&id))
            {
                return Err(WriteError::Taken(format!("the id {id}")));
            }
            let record = Arc::new(record);
            records.push((entity, record.clone()));
            Ok(record)
        })
    }

    fn update(
        &self,
        entity: &'static str,
        id: Uuid,
        changes: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        self.write(|records| {
            let at = position(records, entity, id).ok_or(WriteError::NotFound)?;
            let record = Arc::make_mut(&mut records[at].1);
            record.extend(changes);
            Ok(records[at].1.clone())
        })
    }

    fn delete(
        &self,
        entity: &'static str,
        id: Uuid,
    ) -> BoxFuture<Result<Option<Arc<Record>>, WriteError>> {
        self.write(|records| {
            let at = position(records, entity, id);
            Ok(at.map(|at| records.remove(at).1))
        })
    }
}

fn text<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    record.get(field).and_then(Value::as_str)
}

fn position(records: &[(&'static str, Arc<Record>)], entity: &str, id: Uuid) -> Option<usize> {
    let id = id.to_string();
    let mut records = records.iter();
    records.position(|(of, record)| *of == entity && text(record, "id") == Some(&id))
}
