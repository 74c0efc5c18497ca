//! A file's content into a store.

use std::collections::BTreeMap;

use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{Catalog, Store, Version};

use crate::format::{Content, Footer};
use crate::read::{Backup, Entry, Records};
use crate::{Error, entities};

/// Records and bytes that make a batch.
const BATCH: (usize, usize) = (1000, 8 << 20);

/// What a restore has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Records that are in the store now.
    pub records: u64,
    /// Records that have expired since the backup was taken.
    pub expired: u64,
    /// The version that the restore made.
    pub version: Version,
}

impl Backup {
    /// Makes the backup the whole content of a store, in one commit; `now` is in Unix seconds.
    ///
    /// Records are as they were written: ids, hashes, tags and times. Only what has expired meanwhile is left out.
    ///
    /// # Errors
    /// A backup that this program does not understand in full, and those of the store; then nothing has changed.
    pub async fn restore(
        &self,
        store: &dyn Store,
        catalog: &Catalog,
        now: i64,
    ) -> Result<Restored, Error> {
        let mut content = Contents {
            records: self.records(catalog)?,
            expected: self.footer(),
            seen: Footer::default(),
            next: None,
            now,
            expired: 0,
            failed: None,
        };
        let replaced = store.replace_all(&entities(catalog), &mut content).await;
        let version = replaced.map_err(|error| content.failed.take().unwrap_or(error.into()))?;
        Ok(Restored {
            records: content.seen.records() - content.expired,
            expired: content.expired,
            version,
        })
    }

    /// Proves that the backup can be restored: restores it into a store that is there for nothing else, and compares
    /// what that store then says with what the backup was made of. The store's clock has to stand still at
    /// [`Self::taken_at`].
    ///
    /// # Errors
    /// As [`Self::restore`], and `Differs` if something did not come back as it was.
    pub async fn verify(&self, scratch: &dyn Store, catalog: &Catalog) -> Result<(), Error> {
        let now = self.taken_at().seconds;
        self.restore(scratch, catalog, now).await?;
        let mut found = Found(Footer::default());
        scratch.read_all(&entities(catalog), &mut found).await?;
        compare(&self.footer().entities, &found.0.entities)
    }
}

/// Fails at the first entity that is not the same on both sides.
fn compare(
    expected: &BTreeMap<String, Content>,
    found: &BTreeMap<String, Content>,
) -> Result<(), Error> {
    let of = |side: &BTreeMap<String, Content>, entity: &String| {
        side.get(entity).copied().unwrap_or_default()
    };
    for entity in expected.keys().chain(found.keys()) {
        let (expected, found) = (of(expected, entity), of(found, entity));
        if expected != found {
            return Err(Error::Differs {
                entity: entity.clone(),
                expected: shown(expected),
                found: shown(found),
            });
        }
    }
    Ok(())
}

fn shown(content: Content) -> String {
    let Content { count, digest } = content;
    format!("{count} records with the digest {digest:016x}")
}

/// Sums up what a store says.
struct Found(Footer);

#[async_trait::async_trait]
impl Sink for Found {
    async fn take(
        &mut self,
        schema: &'static Schema,
        records: Vec<Record>,
    ) -> Result<(), store::Error> {
        for mut record in records {
            record.remove("ttl");
            self.0.add(schema.name, &record);
        }
        Ok(())
    }
}

/// The records of a backup in batches of one entity each, compared with the footer at the end.
struct Contents<'a> {
    records: Records,
    expected: &'a Footer,
    seen: Footer,
    /// The record that did not belong to the batch before.
    next: Option<Entry>,
    now: i64,
    expired: u64,
    failed: Option<Error>,
}

/// Some records of one entity.
type Batch = (&'static Schema, Vec<Record>);

impl Contents<'_> {
    fn batch(&mut self) -> Result<Option<Batch>, Error> {
        let first = match self.next.take() {
            Some(entry) => Some(entry),
            None => self.records.next()?,
        };
        let Some(first) = first else {
            compare(&self.expected.entities, &self.seen.entities)?;
            return Ok(None);
        };
        let schema = first.schema;
        let mut batch = Vec::new();
        let mut bytes = first.size;
        self.add(first, &mut batch);
        while batch.len() < BATCH.0 && bytes < BATCH.1 {
            match self.records.next()? {
                Some(entry) if entry.schema.name == schema.name => {
                    bytes += entry.size;
                    self.add(entry, &mut batch);
                }
                other => {
                    self.next = other;
                    break;
                }
            }
        }
        Ok(Some((schema, batch)))
    }

    fn add(&mut self, entry: Entry, batch: &mut Vec<Record>) {
        let Entry {
            schema,
            mut record,
            expires,
            ..
        } = entry;
        self.seen.add(schema.name, &record);
        if let Some(expires) = expires {
            let left = expires.saturating_sub(self.now);
            if left <= 0 {
                self.expired += 1;
                return;
            }
            record.insert("ttl".to_owned(), left.into());
        }
        batch.push(record);
    }
}

#[async_trait::async_trait]
impl Source for Contents<'_> {
    async fn next(&mut self) -> Result<Option<Batch>, store::Error> {
        self.batch().map_err(|error| {
            self.failed = Some(error);
            store::Error::Database("the backup cannot be read".to_owned())
        })
    }
}
