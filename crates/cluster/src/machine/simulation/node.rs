//! A node of the simulation: a machine, what it serves, and what is on its disk.

use std::collections::{BTreeMap, BTreeSet};

use store::Version;
use store::replica::Counts;

use super::database::{Database, Key, Records, name};
use crate::machine::{Begin, Command, Machine, Outcome};

/// What a node keeps on its disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) records: Records,
    pub(super) place: Option<(Version, Option<i64>)>,
    /// The history of the database that the content is of.
    pub(super) history: u64,
}

/// What a data plane serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    pub(super) version: Version,
    pub(super) records: Records,
    pub(super) history: u64,
}

/// A process and its disk.
#[derive(Debug)]
pub(super) struct Node {
    /// `None` while the process is dead.
    pub(super) machine: Option<Machine>,
    /// Grows with each process, so that what an older one was waiting for is nobody's.
    pub(super) epoch: u64,
    pub(super) disk: Disk,
    /// The disk before its last write, which a power cut may bring back.
    pub(super) disk_before: Disk,
    pub(super) served: Option<Served>,
    pub(super) command: Option<Command>,
    /// Grows with each wait.
    pub(super) wait: u64,
    /// The newest version that words told of.
    pub(super) heard: Option<Version>,
    /// The marks of versions that this process has read, as a store remembers them.
    pub(super) marks: BTreeMap<Version, i64>,
    /// Records that were fetched, and those that are still to be.
    pub(super) fetched: Vec<(Key, Option<u64>)>,
    pub(super) to_fetch: Vec<Key>,
    pub(super) copy: Option<(Version, Records, u64)>,
    pub(super) digests: Records,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            machine: None,
            epoch: 0,
            disk: Disk::default(),
            disk_before: Disk::default(),
            served: None,
            command: None,
            wait: 0,
            heard: None,
            marks: BTreeMap::new(),
            fetched: Vec::new(),
            to_fetch: Vec::new(),
            copy: None,
            digests: Records::new(),
        }
    }

    /// What a process starts from.
    pub(super) fn begin(&self) -> Begin {
        Begin {
            has_replica: true,
            replica: self.disk.place,
            is_partial: false,
            is_moved: false,
        }
    }

    /// Ends the process; a power cut may also take the last write with it.
    pub(super) fn crash(&mut self, is_power_cut: bool) {
        self.machine = None;
        self.epoch += 1;
        self.served = None;
        self.command = None;
        self.copy = None;
        self.heard = None;
        self.marks.clear();
        if is_power_cut {
            self.disk = self.disk_before.clone();
        }
    }

    /// Hands what was fetched to the data plane.
    pub(super) fn publish(&mut self, until: Version) -> Outcome {
        let served = self.served.get_or_insert_default();
        put(&mut served.records, &self.fetched);
        served.version = until;
        served.history = self.disk.history;
        Outcome::Published(Ok(()))
    }

    /// Hands the disk's content to the data plane.
    pub(super) fn publish_all(&mut self, version: Version) -> Outcome {
        self.served = Some(Served {
            version,
            records: self.disk.records.clone(),
            history: self.disk.history,
        });
        Outcome::PublishedAll(Ok(version))
    }

    /// Hands the database's content to the data plane.
    pub(super) fn publish_shared(&mut self, database: &Database) -> Outcome {
        let version = Version(database.newest());
        self.served = Some(Served {
            version,
            records: database.records.clone(),
            history: database.history,
        });
        Outcome::PublishedAll(Ok(version))
    }

    /// Writes what was fetched to the disk.
    pub(super) fn apply(&mut self, until: Version) -> Outcome {
        self.disk_before = self.disk.clone();
        put(&mut self.disk.records, &self.fetched);
        self.disk.place = Some((until, self.marks.get(&until).copied()));
        Outcome::Applied(Ok(()))
    }

    /// Puts the copied content on the disk.
    pub(super) fn adopt(&mut self) -> Outcome {
        if let Some((version, records, history)) = self.copy.take() {
            self.disk_before = self.disk.clone();
            self.disk = Disk {
                records,
                place: Some((version, self.marks.get(&version).copied())),
                history,
            };
        }
        Outcome::Adopted(Ok(()))
    }

    /// The entities whose digests differ.
    pub(super) fn weigh(&self, except: &BTreeSet<String>) -> Vec<String> {
        let of = |records: &Records, entity: u8| -> Records {
            let of = records.iter().filter(|(key, _)| key.0 == entity);
            of.map(|(key, write)| (*key, *write)).collect()
        };
        let all = self.digests.keys().chain(self.disk.records.keys());
        let entities: BTreeSet<u8> = all.map(|key| key.0).collect();
        let differs = |entity: &u8| of(&self.digests, *entity) != of(&self.disk.records, *entity);
        let differing = entities.into_iter().filter(differs).map(name);
        differing.filter(|name| !except.contains(name)).collect()
    }
}

fn put(records: &mut Records, changes: &[(Key, Option<u64>)]) {
    for (key, write) in changes {
        match write {
            Some(write) => records.insert(*key, *write),
            None => records.remove(key),
        };
    }
}

/// How many records there are of each entity.
pub(super) fn counts(records: &Records) -> Counts {
    let mut counts = Counts::new();
    for key in records.keys() {
        *counts.entry(name(key.0)).or_default() += 1;
    }
    counts
}
