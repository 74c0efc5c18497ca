//! The shared store of the simulation: records, a log with numbers, transactions that end later than they began.

use std::collections::BTreeMap;

use store::{Changes, Event, EventKind, Version};
use uuid::Uuid;

/// An entity and a record of it.
pub(super) type Key = (u8, u8);

/// What a record holds: the number of the write that made it.
pub(super) type Records = BTreeMap<Key, u64>;

/// A committed write.
#[derive(Debug, Clone, Copy)]
struct Entry {
    version: u64,
    key: Key,
    /// The number of the write, unique for ever.
    write: u64,
    is_delete: bool,
}

/// A write that is not committed.
#[derive(Debug, Clone, Copy)]
struct Open(Entry);

/// The database.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    pub(super) is_down: bool,
    pub(super) records: Records,
    /// Every committed write of this history.
    entries: Vec<Entry>,
    /// Versions up to this one are no longer in the log.
    trimmed: u64,
    open: Vec<Open>,
    version: u64,
    /// Whether writes take their version when they begin, so that they are not seen in that order.
    numbers_early: bool,
    /// Grows when the database is restored or made anew.
    pub(super) history: u64,
    /// Records that were changed without a word in the log.
    pub(super) tampered: Vec<Key>,
}

pub(super) fn name(entity: u8) -> String {
    format!("entity{entity}")
}

pub(super) fn id(key: Key) -> Uuid {
    Uuid::from_u128(u128::from(key.1))
}

/// The record that an event or a command names.
pub(super) fn key(entity: &str, id: Uuid) -> Key {
    let number = entity.trim_start_matches("entity").parse().unwrap();
    (number, u8::try_from(id.as_u128()).unwrap())
}

impl Database {
    pub(super) fn new(numbers_early: bool) -> Self {
        Self {
            numbers_early,
            ..Self::default()
        }
    }

    /// Begins a write; it is seen when it is committed.
    pub(super) fn begin(&mut self, key: Key, write: u64, is_delete: bool) {
        self.version += u64::from(self.numbers_early);
        self.open.push(Open(Entry {
            version: self.version,
            key,
            write,
            is_delete,
        }));
    }

    /// Commits one of the open writes; two of one record end in their order, as locks have it.
    pub(super) fn commit(&mut self, choice: u64) {
        if self.open.is_empty() {
            return;
        }
        let chosen = usize::try_from(choice).unwrap() % self.open.len();
        let key = self.open[chosen].0.key;
        let first = self.open.iter().position(|open| open.0.key == key).unwrap();
        let Open(mut entry) = self.open.remove(first);
        if !self.numbers_early {
            self.version += 1;
            entry.version = self.version;
        }
        self.entries.push(entry);
        match entry.is_delete {
            true => self.records.remove(&entry.key),
            false => self.records.insert(entry.key, entry.write),
        };
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The newest version that is committed.
    pub(super) fn newest(&self) -> u64 {
        let newest = self.entries.iter().map(|entry| entry.version).max();
        newest.unwrap_or(0)
    }

    /// Changes after a version up to another.
    pub(super) fn changes(&self, since: Version, until: u64) -> Changes {
        let until_version = Version(until);
        if since.0 > until || since.0 < self.trimmed {
            return Changes::Reload {
                from: until_version,
            };
        }
        let mut found: Vec<_> = self.entries.iter().collect();
        found.retain(|entry| entry.version > since.0 && entry.version <= until);
        found.sort_by_key(|entry| entry.version);
        let event = |entry: &Entry| Event {
            version: Version(entry.version),
            entity: name(entry.key.0),
            id: id(entry.key),
            operation: match entry.is_delete {
                true => EventKind::Delete,
                false => EventKind::Update,
            },
        };
        Changes::Events {
            until: until_version,
            events: found.into_iter().map(event).collect(),
        }
    }

    /// Tells a version from the same one in another history.
    pub(super) fn mark(&self, version: Version) -> Option<i64> {
        let is_in_log = |entry: &&Entry| entry.version == version.0 && version.0 > self.trimmed;
        let entry = self.entries.iter().find(is_in_log)?;
        Some(i64::try_from(entry.write).unwrap())
    }

    /// Forgets the older half of the log.
    pub(super) fn trim(&mut self) {
        self.trimmed = self.trimmed.max(self.newest() / 2);
    }

    /// Changes or removes a record behind the log's back.
    pub(super) fn tamper(&mut self, key: Key, write: Option<u64>) {
        match write {
            Some(write) => self.records.insert(key, write),
            None => self.records.remove(&key),
        };
        self.tampered.push(key);
    }

    /// A database of the same name without anything in it.
    pub(super) fn wipe(&mut self) {
        *self = Self {
            is_down: self.is_down,
            numbers_early: self.numbers_early,
            history: self.history + 1,
            ..Self::default()
        };
    }

    /// Puts an older state in the place of this one; its transactions that were open are lost.
    pub(super) fn restore(&mut self, backup: &Self) {
        let (is_down, history) = (self.is_down, self.history + 1);
        *self = backup.clone();
        self.is_down = is_down;
        self.history = history;
        self.open.clear();
        self.version = self.newest();
    }

    /// Whether a value is what the record had at a version, or something that it became later.
    pub(super) fn had(&self, key: Key, value: Option<u64>, version: u64) -> bool {
        let of_key = || self.entries.iter().filter(|entry| entry.key == key);
        let last = of_key().filter(|entry| entry.version <= version);
        let last = last.map(|entry| entry.version).max();
        let is_there = |entry: &Entry| match entry.is_delete {
            true => value.is_none(),
            false => value == Some(entry.write),
        };
        match last {
            None if value.is_none() => true,
            last => of_key().any(|entry| Some(entry.version) >= last && is_there(entry)),
        }
    }
}
