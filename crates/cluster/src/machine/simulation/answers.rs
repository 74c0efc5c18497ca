//! What a command comes to in the simulated cluster.

use std::collections::BTreeSet;

use store::{Changes, Version};

use super::database::{Database, Key, Records, name};
use super::node::{Node, counts};
use super::world::{ENTITIES, Flaw};
use crate::judge::Loss;
use crate::machine::{Command, Difference, Fault, Outcome};

/// Changes, as a store gives them that remembers where its readers were.
pub(super) fn read_changes(
    node: &mut Node,
    database: &Database,
    flaw: Option<Flaw>,
    since: Version,
) -> Changes {
    let until = database.newest();
    let seen = node.marks.get(&since).copied();
    let there = database.mark(since);
    let is_other = seen.is_some() && there.is_some() && seen != there;
    let mut changes = match is_other && flaw != Some(Flaw::NoHistory) {
        true => Changes::Reload {
            from: Version(until),
        },
        false => database.changes(since, until),
    };
    if let (Changes::Events { until, .. }, Some(Flaw::LaterVersion)) = (&mut changes, flaw) {
        // As if a write had been committed between the two questions.
        *until = Version(until.0 + u64::from(database.has_open()));
    }
    if let Some(mark) = database.mark(Version(until)) {
        node.marks.insert(Version(until), mark);
    }
    node.heard = Some(Version(until));
    changes
}

pub(super) fn copy(node: &mut Node, database: &Database, flaw: Option<Flaw>) -> Outcome {
    let version = Version(database.newest());
    node.copy = Some((version, database.records.clone(), database.history));
    if let Some(mark) = database.mark(version) {
        node.marks.insert(version, mark);
    }
    let loss = Loss::between(&counts(&node.disk.records), &counts(&database.records));
    Outcome::Copied(Ok((version, loss.filter(|_| flaw != Some(Flaw::Gullible)))))
}

/// Copies one entity at a time, and asks for the version when all of them are there.
pub(super) fn torn_copy(node: &mut Node, database: &Database) -> Option<Outcome> {
    let (_, mut records, done) = node.copy.take().unwrap_or_default();
    let entity = u8::try_from(done).unwrap();
    let of_entity = database.records.iter().filter(|(key, _)| key.0 == entity);
    records.extend(of_entity.map(|(key, write)| (*key, *write)));
    if done + 1 < ENTITIES {
        node.copy = Some((Version::default(), records, done + 1));
        return None;
    }
    let version = Version(database.newest());
    let loss = Loss::between(&counts(&node.disk.records), &counts(&records));
    node.copy = Some((version, records, database.history));
    Some(Outcome::Copied(Ok((version, loss))))
}

pub(super) fn differ(node: &mut Node, database: &Database, entities: &[String]) -> Outcome {
    let is_meant = |key: &Key| entities.contains(&name(key.0));
    let keys: BTreeSet<Key> = database
        .records
        .keys()
        .chain(node.disk.records.keys())
        .copied()
        .filter(is_meant)
        .collect();
    let value = |records: &Records, key: &Key| records.get(key).copied();
    let differing = keys.into_iter().filter_map(|key| {
        let there = value(&database.records, &key);
        (there != value(&node.disk.records, &key)).then_some((key, there))
    });
    let differing: Vec<_> = differing.collect();
    let mut after = node.disk.records.clone();
    for (key, there) in &differing {
        match there {
            Some(write) => after.insert(*key, *write),
            None => after.remove(key),
        };
    }
    let loss = Loss::between(&counts(&node.disk.records), &counts(&after));
    let count = differing.len() as u64;
    node.fetched = differing;
    Outcome::Differs(Ok(Difference::Records { count, loss }))
}

/// The outcome of a command that failed.
pub(super) fn fault(command: &Command, fault: Fault) -> Outcome {
    match command {
        Command::Wait { .. } | Command::Discard => Outcome::Done,
        Command::ReadMark { .. } => Outcome::Mark(Err(fault)),
        Command::ReadChanges { .. } => Outcome::Changes(Err(fault)),
        Command::Fetch { .. } => Outcome::Fetched(Err(fault)),
        Command::Publish { .. } => Outcome::Published(Err(fault)),
        Command::Apply { .. } => Outcome::Applied(Err(fault)),
        Command::Copy => Outcome::Copied(Err(fault)),
        Command::Adopt { .. } => Outcome::Adopted(Err(fault)),
        Command::PublishAll { .. } => Outcome::PublishedAll(Err(fault)),
        Command::ReadDigests => Outcome::Digests(Err(fault)),
        Command::Weigh { .. } => Outcome::Weighed(Err(fault)),
        Command::Differ { .. } => Outcome::Differs(Err(fault)),
    }
}
