//! Time, chance and trouble.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use stdx::SeededRandom;
use store::Version;

use super::answers::{copy, differ, fault, read_changes, torn_copy};
use super::database::{Database, Key, key};
use super::node::Node;
use crate::machine::{Command, Fault, Machine, Outcome, Source};
use crate::timing::Timing;

const NODES: usize = 3;
pub(super) const ENTITIES: u64 = 3;
const RECORDS: u64 = 6;

/// How long trouble lasts, and how long the cluster has to get over it, in milliseconds.
const TROUBLE: u64 = 30_000;
const PEACE: u64 = 90_000;

/// Short times, so that a schedule has room for many rounds.
const TIMING: Timing = Timing {
    patience: Duration::from_secs(1),
    read: Duration::from_secs(1),
    poll: Duration::from_secs(4),
    retry: (Duration::from_millis(100), Duration::from_secs(1)),
    replica_retry: Duration::from_secs(3),
    compare: (Duration::from_secs(1), Duration::from_secs(8)),
    comparison: Duration::from_secs(10),
    doubt: Duration::from_secs(2),
    belief: Duration::from_secs(10),
    heartbeat: Duration::from_secs(2),
    alive: Duration::from_secs(8),
    forget: Duration::from_secs(60),
};

/// A way to get the protocol wrong, which some schedule has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Versions are taken when a write begins, and seen when it ends: smaller ones may come after a larger.
    NoHorizon,
    /// The version is asked for after the changes.
    LaterVersion,
    /// A copy is read piece by piece, and its version at the end.
    TornCopy,
    /// The replica writes its version, then its records.
    VersionFirst,
    /// Only words make a node look.
    NoPoll,
    /// Marks are not compared. Digests are the other way to notice another history, so they are not compared either, and
    /// nobody tampers with records.
    NoHistory,
    /// Digests are not compared.
    NoComparison,
    /// Collections that were touched meanwhile are compared as well.
    CompareTouched,
    /// Whatever was copied is adopted.
    Gullible,
}

/// Something that is going to happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Write,
    Commit,
    /// Word of a version arrives.
    Word(usize, u64),
    /// The next part of a node's command takes effect.
    Effect(usize, u64),
    /// A wait is over.
    Over(usize, u64, u64),
    Crash(usize),
    Start(usize),
    Outage(u64),
    Return,
    Trim,
    Tamper,
    Backup,
    Wipe,
    Restore,
    /// The operator believes the database.
    Accept,
}

/// The whole of it.
pub(super) struct World {
    /// Whether every step is printed.
    pub(super) is_traced: bool,
    flaw: Option<Flaw>,
    random: SeededRandom,
    now: u64,
    happenings: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    /// Gives happenings of the same moment an order.
    sequence: u64,
    steps: u64,
    writes: u64,
    database: Database,
    backup: Database,
    /// Nobody writes into a database that was emptied before it is restored.
    is_wiped: bool,
    was_tampered: bool,
    nodes: Vec<Node>,
    outcomes: BTreeMap<(usize, u64), Outcome>,
}

impl World {
    /// A schedule.
    pub(super) fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut world = Self {
            is_traced: false,
            flaw,
            random: SeededRandom::new(seed),
            now: 0,
            happenings: BinaryHeap::new(),
            sequence: 0,
            steps: 0,
            writes: 0,
            database: Database::new(flaw == Some(Flaw::NoHorizon)),
            backup: Database::default(),
            is_wiped: false,
            was_tampered: false,
            nodes: (0..NODES).map(|_| Node::new()).collect(),
            outcomes: BTreeMap::new(),
        };
        world.plan();
        world
    }

    /// Things that happened: the same for the same seed.
    pub(super) fn steps(&self) -> (u64, u64) {
        (self.steps, self.random.clone().next_u64())
    }

    fn chance(&mut self, of_hundred: u64) -> bool {
        self.random.below(100) < of_hundred
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.sequence += 1;
        self.happenings
            .push(Reverse((time, self.sequence, happening)));
    }

    fn soon(&mut self, happening: Happening) {
        // Mostly at once, now and then late.
        let most = match self.random.below(20) {
            0 => 3000,
            1..=4 => 100,
            _ => 6,
        };
        let time = self.now + self.random.below(most);
        self.at(time, happening);
    }

    /// Some of everything, at some time.
    fn plan(&mut self) {
        for _ in 0..5 + self.random.below(40) {
            let time = self.random.below(TROUBLE);
            // Some writes come in bursts.
            for burst in 0..self.random.below(4) {
                self.at(time + burst, Happening::Write);
            }
        }
        for node in 0..NODES {
            let time = self.random.below(4000);
            self.at(time, Happening::Start(node));
            for _ in 0..self.random.below(3) {
                let time = self.random.below(TROUBLE);
                self.at(time, Happening::Crash(node));
            }
        }
        let troubles = [
            (60, Happening::Outage(3000)),
            (25, Happening::Outage(15_000)),
            (30, Happening::Trim),
            (20, Happening::Tamper),
        ];
        for (of_hundred, trouble) in troubles {
            if self.chance(of_hundred) {
                let time = self.random.below(TROUBLE);
                self.at(time, trouble);
            }
        }
        if self.chance(30) {
            let backup = self.random.below(TROUBLE / 2);
            let loss = backup + self.random.below(TROUBLE / 2);
            let restore = loss + self.random.below(TROUBLE - loss);
            self.at(backup, Happening::Backup);
            if self.chance(50) {
                self.at(loss, Happening::Wipe);
            }
            self.at(restore, Happening::Restore);
        }
        self.at(TROUBLE + PEACE / 2, Happening::Accept);
    }

    /// Lets everything happen, and tells what went wrong.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((time, _, happening))) = self.happenings.pop() {
            if time > TROUBLE + PEACE {
                break;
            }
            self.now = time;
            self.steps += 1;
            self.happen(happening)?;
        }
        self.converged()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Write => self.write(),
            Happening::Commit => self.commit(),
            Happening::Word(node, version) => self.hear(node, Version(version))?,
            Happening::Effect(node, epoch) if self.nodes[node].epoch == epoch => {
                self.effect(node)?;
            }
            Happening::Over(node, epoch, wait) => {
                let is_current = (self.nodes[node].epoch, self.nodes[node].wait) == (epoch, wait);
                if is_current {
                    self.step(node, Outcome::Done)?;
                }
            }
            Happening::Effect(..) => {}
            Happening::Crash(node) => {
                let is_power_cut = self.chance(40);
                self.nodes[node].crash(is_power_cut);
                let time = self.now + self.random.below(4000);
                self.at(time, Happening::Start(node));
            }
            Happening::Start(node) => self.start(node)?,
            Happening::Outage(length) => {
                self.database.is_down = true;
                let time = self.now + self.random.below(length);
                self.at(time, Happening::Return);
            }
            Happening::Return => self.database.is_down = false,
            Happening::Accept => {
                let machines = self
                    .nodes
                    .iter_mut()
                    .filter_map(|node| node.machine.as_mut());
                machines.for_each(Machine::accept);
            }
            Happening::Trim => self.database.trim(),
            Happening::Tamper => self.tamper(),
            Happening::Backup => self.backup = self.database.clone(),
            Happening::Wipe => {
                self.is_wiped = true;
                self.database.wipe();
            }
            Happening::Restore => {
                self.is_wiped = false;
                self.database.restore(&self.backup.clone());
            }
        }
        Ok(())
    }

    fn any_key(&mut self) -> Key {
        let entity = self.random.below(ENTITIES);
        let record = self.random.below(RECORDS);
        (u8::try_from(entity).unwrap(), u8::try_from(record).unwrap())
    }

    fn write(&mut self) {
        if self.database.is_down || self.is_wiped {
            return;
        }
        self.writes += 1;
        let key = self.any_key();
        let is_delete = self.chance(25);
        self.database.begin(key, self.writes, is_delete);
        self.soon(Happening::Commit);
    }

    fn commit(&mut self) {
        let choice = self.random.next_u64();
        self.database.commit(choice);
        let version = self.database.newest();
        for node in 0..NODES {
            if self.chance(80) {
                self.soon(Happening::Word(node, version));
            }
        }
    }

    fn tamper(&mut self) {
        if self.is_wiped || self.flaw == Some(Flaw::NoHistory) {
            return;
        }
        self.was_tampered = true;
        self.writes += 1;
        let key = self.any_key();
        let write = self.chance(50).then_some(self.writes);
        self.database.tamper(key, write);
    }

    fn hear(&mut self, node: usize, version: Version) -> Result<(), String> {
        if self.nodes[node].machine.is_none() {
            return Ok(());
        }
        self.nodes[node].heard = Some(version);
        match &self.nodes[node].command {
            Some(Command::Wait {
                word_of: Some(known),
                ..
            }) if *known != version => self.step(node, Outcome::Done),
            _ => Ok(()),
        }
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].machine.is_some() {
            return Ok(());
        }
        let seed = self.random.next_u64();
        let begin = self.nodes[node].begin();
        self.nodes[node].machine = Some(Machine::new(begin, TIMING, seed));
        self.step(node, Outcome::Done)
    }

    /// Gives a machine its outcome and begins with what it wants next.
    fn step(&mut self, node: usize, outcome: Outcome) -> Result<(), String> {
        let now = Duration::from_millis(self.now);
        let it = &mut self.nodes[node];
        it.wait += 1;
        let Some(machine) = &mut it.machine else {
            return Ok(());
        };
        let said = self.is_traced.then(|| format!("{outcome:?}"));
        let command = machine.step(now, outcome);
        if let Some(said) = said {
            println!("{now:?}: node {node}: {said} -> {command:?}");
        }
        let divergences = machine.counters().divergences;
        it.command = Some(command.clone());
        let is_explained = self.was_tampered || self.database.history > 0;
        if divergences > 0 && !is_explained {
            return Err(format!("node {node} differed without a reason"));
        }
        match command {
            Command::Wait { limit, word_of } => {
                let it = &self.nodes[node];
                let (epoch, wait) = (it.epoch, it.wait);
                let millis = u64::try_from(limit.as_millis()).unwrap() + 1;
                let has_word = word_of.is_some() && it.heard.is_some() && it.heard != word_of;
                match (has_word, self.flaw) {
                    (true, _) => self.at(self.now + 1, Happening::Over(node, epoch, wait)),
                    // It still tries again after failures, and compares.
                    (false, Some(Flaw::NoPoll)) if millis > 2000 => {}
                    _ => self.at(self.now + millis, Happening::Over(node, epoch, wait)),
                }
            }
            Command::Fetch { wanted } => {
                let it = &mut self.nodes[node];
                it.fetched.clear();
                it.to_fetch = wanted.iter().map(|(name, id)| key(name, *id)).collect();
                self.go_on(node);
            }
            _ => self.go_on(node),
        }
        Ok(())
    }

    fn go_on(&mut self, node: usize) {
        let epoch = self.nodes[node].epoch;
        self.soon(Happening::Effect(node, epoch));
    }

    /// A part of a command takes effect, or its answer arrives.
    fn effect(&mut self, node: usize) -> Result<(), String> {
        let epoch = self.nodes[node].epoch;
        if let Some(outcome) = self.outcomes.remove(&(node, epoch)) {
            return self.step(node, outcome);
        }
        let Some(command) = self.nodes[node].command.clone() else {
            return Ok(());
        };
        let is_asking = !matches!(
            command,
            Command::Publish { .. }
                | Command::Apply { .. }
                | Command::Adopt { .. }
                | Command::Discard
                | Command::PublishAll { .. }
                | Command::Weigh { .. }
        );
        let fails = is_asking && (self.database.is_down || self.now < TROUBLE && self.chance(3));
        let outcome = match fails {
            true => fault(&command, Fault::Shared("down".to_owned())),
            false => match self.perform(node, &command) {
                Some(outcome) => outcome,
                None => {
                    self.go_on(node);
                    return Ok(());
                }
            },
        };
        self.check(node, &command)?;
        self.outcomes.insert((node, epoch), outcome);
        self.go_on(node);
        Ok(())
    }

    /// Carries out a command, or the next part of it.
    fn perform(&mut self, node: usize, command: &Command) -> Option<Outcome> {
        let is_troubled = self.now < TROUBLE;
        let disk_fails = is_troubled && self.chance(2);
        let refuses = is_troubled && self.chance(2);
        let full = || Fault::Replica("full".to_owned());
        let flaw = self.flaw;
        let it = &mut self.nodes[node];
        let database = &self.database;
        Some(match command {
            Command::Wait { .. } => Outcome::Done,
            Command::ReadMark { at } => {
                let is_blind = flaw == Some(Flaw::NoHistory);
                Outcome::Mark(Ok(database.mark(*at).filter(|_| !is_blind)))
            }
            Command::ReadChanges { since } => {
                Outcome::Changes(Ok(read_changes(it, database, flaw, *since)))
            }
            Command::Fetch { .. } => {
                let Some(key) = it.to_fetch.pop() else {
                    return Some(Outcome::Fetched(Ok(())));
                };
                it.fetched.push((key, database.records.get(&key).copied()));
                return None;
            }
            Command::Publish { .. } if refuses => {
                Outcome::Published(Err(Fault::Publish("refused".to_owned())))
            }
            Command::Publish { until } => it.publish(*until),
            Command::PublishAll { .. } if refuses => {
                Outcome::PublishedAll(Err(Fault::Publish("refused".to_owned())))
            }
            Command::PublishAll {
                from: Source::Shared,
                ..
            } => it.publish_shared(database),
            Command::PublishAll { at_least, .. } => it.publish_all(*at_least),
            Command::Apply { .. } if disk_fails => Outcome::Applied(Err(full())),
            Command::Apply { until } => {
                let outcome = it.apply(*until);
                if flaw == Some(Flaw::VersionFirst) {
                    it.disk_before.place = it.disk.place;
                }
                outcome
            }
            Command::Copy if disk_fails => Outcome::Copied(Err(full())),
            Command::Copy => match flaw {
                Some(Flaw::TornCopy) => return torn_copy(it, database),
                _ => copy(it, database, flaw),
            },
            Command::Adopt { .. } => it.adopt(),
            Command::Discard => {
                it.copy = None;
                Outcome::Done
            }
            Command::ReadDigests => {
                it.digests = database.records.clone();
                Outcome::Digests(Ok(Version(database.newest())))
            }
            Command::Weigh { .. } if matches!(flaw, Some(Flaw::NoComparison | Flaw::NoHistory)) => {
                Outcome::Weighed(Ok(Vec::new()))
            }
            Command::Weigh { except } => {
                let except = match flaw {
                    Some(Flaw::CompareTouched) => &BTreeSet::new(),
                    _ => except,
                };
                Outcome::Weighed(Ok(it.weigh(except)))
            }
            Command::Differ { entities } => differ(it, database, entities),
        })
    }

    /// What a node serves has everything up to the version that it says it has.
    fn check(&self, node: usize, command: &Command) -> Result<(), String> {
        let is_emptied =
            |node: &Node| node.disk.records.is_empty() && !node.disk_before.records.is_empty();
        if matches!(command, Command::Adopt { .. })
            && self.is_wiped
            && is_emptied(&self.nodes[node])
        {
            return Err(format!("node {node} serves nothing at {}", self.now));
        }
        let publishes = matches!(
            command,
            Command::Publish { .. } | Command::PublishAll { .. }
        );
        let Some(served) = self.nodes[node].served.as_ref().filter(|_| publishes) else {
            return Ok(());
        };
        if served.history != self.database.history {
            return Ok(());
        }
        for key in (0..3).flat_map(|entity| (0..6).map(move |record| (entity, record))) {
            let value = served.records.get(&key).copied();
            let is_tampered = self.database.tampered.contains(&key);
            if !is_tampered && !self.database.had(key, value, served.version.0) {
                let (version, now) = (served.version.0, self.now);
                return Err(format!(
                    "node {node} has not what version {version} has of {key:?} at {now}: {value:?}"
                ));
            }
        }
        Ok(())
    }

    /// In the end, everybody serves what the database has, and has it on disk.
    fn converged(&self) -> Result<(), String> {
        if self.database.has_open() || self.is_wiped {
            return Err("the schedule does not end".to_owned());
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let expected = &self.database.records;
            let served = node.served.as_ref().map(|served| &served.records);
            if served != Some(expected) || node.disk.records != *expected {
                return Err(format!(
                    "node {number} does not serve in the end what the database has: {:?} and on disk {:?} for {expected:?} ({:?})",
                    node.served, node.disk, node.machine
                ));
            }
        }
        Ok(())
    }
}
