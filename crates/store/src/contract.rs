//! The suite that every store passes, over declarations of its own.
//!
//! A store's test is one line: `store::contract::run(&subject).await`, where the [`Subject`] opens empty stores.
//! A case panics with what it expected.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the suite is test code that other crates link"
)]

mod bulk;
mod counters;
mod digests;
mod feed;
mod pages;
mod records;
mod relations;
mod schemas;

use std::sync::Arc;

use async_trait::async_trait;
use schema::{Record, Schema};
use serde_json::{Value, json};
use stdx::ManualClock;
use uuid::Uuid;

use crate::{Catalog, Error, Key, Mutation, Store, Version};

/// What a case may ask of the store that it gets.
#[derive(Debug, Clone)]
pub struct Setup {
    pub catalog: Catalog,
    pub clock: Arc<ManualClock>,
    /// Events that the change log is to keep at least; it may keep up to twice as many.
    pub change_log: u64,
}

/// Opens the stores that the suite works on.
#[async_trait]
pub trait Subject: Sync {
    /// Opens a store without records.
    async fn open(&self, setup: Setup) -> Arc<dyn Store>;

    /// Gives a store its first records, parents first; a store that takes no commits has its own way.
    async fn fill(&self, store: &Arc<dyn Store>, records: Vec<(&'static Schema, Record)>) {
        let mutations: Vec<_> = records
            .into_iter()
            .map(|(schema, record)| Mutation::Insert(schema, record))
            .collect();
        store.commit(&mutations).await.unwrap();
    }
}

/// Every case, for a store that takes commits.
pub async fn run(subject: &dyn Subject) {
    run_reads(subject).await;
    records::cases(subject).await;
    relations::cases(subject).await;
    pages::cases(subject).await;
    feed::cases(subject).await;
    digests::cases(subject).await;
    bulk::cases(subject).await;
    counters::cases(subject).await;
}

/// The cases that only read what [`Subject::fill`] has put there.
pub async fn run_reads(subject: &dyn Subject) {
    records::reads(subject).await;
    pages::reads(subject).await;
}

/// A store and what cases often do with it.
struct Case {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

impl Case {
    async fn open(subject: &dyn Subject) -> Self {
        Self::with_change_log(subject, 10_000).await
    }

    async fn with_change_log(subject: &dyn Subject, change_log: u64) -> Self {
        let start = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let clock = Arc::new(ManualClock::at(start));
        let setup = Setup {
            catalog: Catalog::new(schemas::all()),
            clock: Arc::clone(&clock),
            change_log,
        };
        Self {
            store: subject.open(setup).await,
            clock,
        }
    }

    async fn insert(&self, schema: &Schema, record: &Record) -> Result<Version, Error> {
        let mutation = Mutation::Insert(schema, record.clone());
        self.store.commit(&[mutation]).await
    }

    async fn update(&self, schema: &Schema, record: &Record) -> Result<Version, Error> {
        let mutation = Mutation::Update(schema, record.clone());
        self.store.commit(&[mutation]).await
    }

    async fn delete(&self, schema: &Schema, record: &Record) -> Result<Version, Error> {
        let mutation = Mutation::Delete(schema, id_of(record));
        self.store.commit(&[mutation]).await
    }

    async fn get(&self, schema: &Schema, record: &Record) -> Option<Record> {
        let key = Key::Id(id_of(record));
        self.store.get(schema, key).await.unwrap()
    }

    async fn assert_stored(&self, schema: &Schema, record: &Record) {
        let stored = self.get(schema, record).await;
        assert_eq!(stored.as_ref(), Some(&complete(schema, record)));
    }
}

/// A record of `fields` with a new id.
fn record(fields: Value) -> Record {
    record_with_id(Uuid::new_v4(), fields)
}

fn record_with_id(id: Uuid, fields: Value) -> Record {
    let Value::Object(mut record) = fields else {
        panic!("a record is an object");
    };
    record.insert("id".to_owned(), id.to_string().into());
    record
}

fn id_of(record: &Record) -> Uuid {
    Uuid::parse_str(record["id"].as_str().unwrap()).unwrap()
}

/// A foreign value that points at a record.
fn reference(record: &Record) -> Value {
    json!({ "id": record["id"] })
}

/// The record as a store gives it back: with all declared fields.
fn complete(schema: &Schema, record: &Record) -> Record {
    let mut all: Record = crate::catalog::stored_fields(schema)
        .map(|(name, _)| (name.to_owned(), Value::Null))
        .collect();
    all.extend(record.clone());
    all
}
