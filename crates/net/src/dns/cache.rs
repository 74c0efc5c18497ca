//! The bounded cache of answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::RwLock;

use super::turns::Turns;
use super::{RecordKind, Records};
use crate::ResolveError;

/// What the cache knows about a name.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outcome: Result<Found, ResolveError>,
    /// Until when it holds.
    pub(super) expires: Instant,
    /// Until when it may be served while it is renewed.
    pub(super) stale_until: Instant,
    /// The first moment of the next attempt to renew it.
    pub(super) renew_after: Instant,
    /// A clock of uses, for evicting the entries that nobody asks for.
    used: AtomicU64,
}

/// Records that were found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) records: Arc<Records>,
    pub(super) turns: Arc<Turns>,
    /// The kind of record that answered, for `LAST`.
    pub(super) kind: RecordKind,
}

impl Entry {
    pub(super) fn new(
        outcome: Result<Found, ResolveError>,
        expires: Instant,
        stale_until: Instant,
    ) -> Self {
        Self {
            outcome,
            expires,
            stale_until,
            renew_after: expires,
            used: AtomicU64::new(0),
        }
    }

    /// The same, with the next attempt to renew it put off.
    pub(super) fn put_off(&self, renew_after: Instant) -> Self {
        let outcome = match &self.outcome {
            Ok(found) => Ok(Found {
                records: Arc::clone(&found.records),
                turns: Arc::clone(&found.turns),
                kind: found.kind,
            }),
            Err(error) => Err(error.clone()),
        };
        Self {
            renew_after,
            ..Self::new(outcome, self.expires, self.stale_until)
        }
    }
}

/// Entries by name.
#[derive(Debug)]
pub(super) struct Cache {
    entries: RwLock<HashMap<Box<str>, Arc<Entry>>>,
    capacity: usize,
    uses: AtomicU64,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: RwLock::default(),
            capacity: capacity.max(1),
            uses: AtomicU64::new(1),
        }
    }

    /// The entry of a name, however old.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Entry>> {
        let entry = self.entries.read().get(name).cloned()?;
        entry
            .used
            .store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(entry)
    }

    pub(super) fn insert(&self, name: &str, entry: Arc<Entry>) {
        entry
            .used
            .store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut entries = self.entries.write();
        if entries.len() >= self.capacity && !entries.contains_key(name) {
            evict(&mut entries, self.capacity);
        }
        entries.insert(name.into(), entry);
    }

    pub(super) fn clear(&self) {
        self.entries.write().clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.read().len()
    }
}

/// Makes room by dropping the eighth of the entries that has not been used for longest, so that the work spreads over
/// many insertions.
fn evict(entries: &mut HashMap<Box<str>, Arc<Entry>>, capacity: usize) {
    let mut uses: Vec<u64> = entries
        .values()
        .map(|entry| entry.used.load(Ordering::Relaxed))
        .collect();
    let surplus = (capacity / 8).min(uses.len().saturating_sub(1));
    let (_, &mut limit, _) = uses.select_nth_unstable(surplus);
    entries.retain(|_, entry| entry.used.load(Ordering::Relaxed) > limit);
}
