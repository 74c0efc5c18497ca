//! Whole contents of a store, in and out, a batch at a time.

use async_trait::async_trait;
use schema::{Record, Schema};

use crate::{Error, Mutation, PageRequest, Store, Version};

/// Where [`Store::read_all`] puts records.
#[async_trait]
pub trait Sink: Send {
    /// Takes some records of one entity, in the order of their ids; an error ends the reading.
    async fn take(&mut self, schema: &'static Schema, records: Vec<Record>) -> Result<(), Error>;
}

/// Where [`Store::replace_all`] gets records from.
#[async_trait]
pub trait Source: Send {
    /// Some more records of one entity, parents first; `None` at the end. An error undoes everything.
    async fn next(&mut self) -> Result<Option<(&'static Schema, Vec<Record>)>, Error>;
}

/// Reads page by page; whether it was one state is known only at the end.
pub(crate) async fn read_by_pages<S: Store + ?Sized>(
    store: &S,
    schemas: &[&'static Schema],
    sink: &mut dyn Sink,
) -> Result<Version, Error> {
    let before = store.version().await?;
    for schema in schemas {
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            ..PageRequest::default()
        };
        loop {
            let page = store.page(schema, &request).await?;
            sink.take(schema, page.records).await?;
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
    }
    if store.version().await? != before {
        return Err(Error::Conflict);
    }
    Ok(before)
}

/// Collects everything and commits it at once.
pub(crate) async fn replace_at_once<S: Store + ?Sized>(
    store: &S,
    schemas: &[&'static Schema],
    source: &mut dyn Source,
) -> Result<Version, Error> {
    let mut mutations: Vec<_> = schemas
        .iter()
        .rev()
        .map(|schema| Mutation::Truncate(schema))
        .collect();
    while let Some((schema, records)) = source.next().await? {
        let inserts = records
            .into_iter()
            .map(|record| Mutation::Insert(schema, record));
        mutations.extend(inserts);
    }
    store.commit(&mutations).await
}
