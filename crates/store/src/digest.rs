//! A checksum of a collection that does not depend on the order of its records.

use std::collections::BTreeMap;

use schema::{Record, Schema};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Error, PageRequest, Store, Version};

/// How often a state that changes while it is read is read again.
const ATTEMPTS: u32 = 3;

/// How many records there are, and the sum of their checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    pub count: u64,
    pub sum: u64,
}

/// The digests of collections by schema name.
pub type Digests = BTreeMap<String, Digest>;

impl Digest {
    /// Adds one record.
    pub fn add(&mut self, record: &Record) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(checksum(record));
    }

    /// Takes one record out that was added before.
    pub fn remove(&mut self, record: &Record) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(checksum(record));
    }
}

/// The field that counts down by itself: what is left of a record's time to live.
const TTL: &str = "ttl";

/// The checksum of one record without its time to live; fields that are null count as absent, so that a new column
/// changes nothing.
pub fn checksum(record: &Record) -> u64 {
    let mut hasher = Sha256::new();
    let present: BTreeMap<&String, &Value> = record
        .iter()
        .filter(|(name, value)| !value.is_null() && *name != TTL)
        .collect();
    for (name, value) in present {
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        absorb(&mut hasher, value);
    }
    let bytes: [u8; 32] = hasher.finalize().into();
    u64::from_be_bytes(std::array::from_fn(|at| bytes[at]))
}

/// Feeds a value, members of objects in the order of their names.
fn absorb(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Array(items) => {
            hasher.update(b"[");
            hasher.update((items.len() as u64).to_be_bytes());
            for item in items {
                absorb(hasher, item);
            }
        }
        Value::Object(members) => {
            let ordered: BTreeMap<&String, &Value> = members.iter().collect();
            hasher.update(b"{");
            hasher.update((ordered.len() as u64).to_be_bytes());
            for (name, member) in ordered {
                hasher.update((name.len() as u64).to_be_bytes());
                hasher.update(name);
                absorb(hasher, member);
            }
        }
        scalar => {
            let text = scalar.to_string();
            hasher.update(b"=");
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
}

/// Digests by reading every page: the version before and after tells whether it was one state.
pub(crate) async fn by_pages<S: Store + ?Sized>(
    store: &S,
    schemas: &[&Schema],
) -> Result<(Version, Digests), Error> {
    for _ in 0..ATTEMPTS {
        let before = store.version().await?;
        let mut digests = Digests::new();
        for schema in schemas {
            let digest = digests.entry(schema.name.to_string()).or_default();
            let mut request = PageRequest {
                size: PageRequest::MAX_SIZE,
                ..PageRequest::default()
            };
            loop {
                let page = store.page(schema, &request).await?;
                page.records.iter().for_each(|record| digest.add(record));
                match page.offset {
                    None => break,
                    offset => request.offset = offset,
                }
            }
        }
        if store.version().await? == before {
            return Ok((before, digests));
        }
    }
    Err(Error::Conflict)
}

#[cfg(test)]
mod tests;
