//! The protocol that keeps a node like the shared store, as a machine without IO: one command at a time goes out, and
//! its outcome comes in.
//!
//! ```text
//! start ─▶ publish the replica ─▶ same history? ─▶ ┌─▶ read changes ─▶ fetch ─▶ apply to the replica ─▶ publish ─┐
//!                                                  └──────────────── wait for a word, or a while ◀───────────────┘
//! log too short, or another history ─▶ copy everything beside the old content ─▶ judge ─▶ adopt ─▶ publish the replica
//! from time to time ─▶ digests of the shared store ─▶ read changes ─▶ weigh ─▶ what differs: read, apply, publish
//! ```
//!
//! Invariants:
//! - The version that is published, and the one that the replica says it has, include every change up to them.
//!   So a version is taken over only from the answer that the changes came with, and only when they are in place.
//! - The replica is written before the data plane is told, so that a record that is looked up there is never older than
//!   what is served, and a node that starts again never goes back. One that cannot be written delays nobody: what is
//!   served goes ahead of it, and it is brought up to date later.
//! - After a failure nothing moves: the same question is asked again, from the version that was reached.
//! - A digest is compared only for collections that nothing touched between the version of the digest and that of the
//!   last change that was read, because a fetched record may be newer than the version it was fetched for.

mod failure;
mod words;

use std::collections::BTreeSet;
use std::time::Duration;

use stdx::SeededRandom;
use store::{Changes, Event, Version};
use uuid::Uuid;

use crate::judge::{Doubt, Loss};
use crate::status::Counters;
use crate::timing::Timing;

pub(crate) use words::{Begin, Command, Difference, Fault, Outcome, Reach, Source};

/// Words that may lead to nothing before the next wait does not listen: a store whose word and answer contradict each
/// other must not keep a node busy.
const MAX_FALSE_WORDS: u32 = 8;

/// What the machine is waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Start,
    Waiting,
    Marking,
    Reading {
        since: Version,
    },
    Fetching {
        since: Version,
        until: Version,
    },
    /// With how many records that are healed by it, as when publishing.
    Applying {
        until: Version,
        healed: u64,
    },
    Publishing {
        until: Version,
        healed: u64,
    },
    Copying,
    Discarding,
    Adopting {
        version: Version,
    },
    PublishingAll,
    Digesting,
    /// The changes that were read meanwhile come after the comparison.
    Weighing(Pending),
    Differing(Vec<String>),
}

/// Changes that were read and not fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    since: Version,
    until: Version,
    wanted: Vec<(String, Uuid)>,
}

/// A comparison under way.
#[derive(Debug, Clone)]
struct Comparison {
    /// The version of the digests.
    at: Version,
    /// Entities that were changed after it.
    touched: BTreeSet<String>,
}

/// The protocol of one node.
#[derive(Debug)]
pub(crate) struct Machine {
    timing: Timing,
    random: SeededRandom,
    phase: Phase,
    has_replica: bool,
    /// What the replica holds.
    replica: Option<Version>,
    /// The replica lacks entities, so that following changes does not make it whole.
    is_partial: bool,
    /// The mark to compare with the shared store's before its changes are followed.
    mark: Option<i64>,
    /// What the data plane serves.
    published: Option<Version>,
    newest: Option<Version>,
    /// The whole configuration has to be published before changes are.
    publish_all: Option<(Source, Version)>,
    reach: Reach,
    trouble: Option<Fault>,
    /// Failures in a row.
    failures: u32,
    /// Words in a row that led to nothing.
    false_words: u32,
    /// When the wait that is under way would be over.
    wait_ends: Duration,
    /// When a replica that could not be written is tried again; `None` while it is like what is published.
    replica_retry: Option<Duration>,
    comparison: Option<Comparison>,
    compare_at: Duration,
    compare_pause: Duration,
    doubt: Option<Doubt>,
    /// The next content is believed, whatever it is.
    accepts: bool,
    counters: Counters,
}

impl Machine {
    /// A machine that has yet to be given [`Outcome::Done`] for the first time.
    pub(crate) fn new(begin: Begin, timing: Timing, seed: u64) -> Self {
        let mut machine = Self {
            timing,
            random: SeededRandom::new(seed),
            phase: Phase::Start,
            has_replica: begin.has_replica,
            replica: begin.replica.map(|(version, _)| version),
            is_partial: begin.is_partial,
            mark: begin.replica.and_then(|(_, mark)| mark),
            published: None,
            newest: None,
            publish_all: begin.replica.map(|(version, _)| (Source::Replica, version)),
            reach: Reach::Unknown,
            trouble: None,
            failures: 0,
            false_words: 0,
            wait_ends: Duration::ZERO,
            replica_retry: None,
            comparison: None,
            compare_at: Duration::ZERO,
            compare_pause: timing.compare.0,
            doubt: None,
            accepts: begin.is_moved,
            counters: Counters::default(),
        };
        machine.compare_soon(Duration::ZERO);
        machine
    }

    /// The next command, given how the last one ended; `now` counts from any moment and never goes back.
    pub(crate) fn step(&mut self, now: Duration, outcome: Outcome) -> Command {
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting);
        match (phase, outcome) {
            (Phase::Start | Phase::Waiting, Outcome::Done) => {
                self.false_words = match now < self.wait_ends {
                    true => self.false_words.saturating_add(1),
                    false => 0,
                };
                self.look(now)
            }
            (Phase::Discarding, Outcome::Done) => self.wait(now, self.timing.doubt, None),
            (Phase::PublishingAll, Outcome::PublishedAll(Ok(version))) => {
                self.published = Some(version);
                self.publish_all = None;
                self.trouble = None;
                self.failures = 0;
                self.look(now)
            }
            (Phase::Marking, Outcome::Mark(Ok(mark))) => self.marked(mark),
            (Phase::Reading { since }, Outcome::Changes(Ok(changes))) => {
                self.answered();
                self.changes(now, since, changes)
            }
            (Phase::Fetching { since, until }, Outcome::Fetched(Ok(()))) => {
                match self.replica == Some(since) {
                    true => self.apply(until, 0),
                    false => self.publish(until, 0),
                }
            }
            (Phase::Applying { until, healed }, Outcome::Applied(Ok(()))) => {
                self.replica = Some(until);
                match self.replica_retry.take() {
                    // Where the data plane went ahead of a replica that could not be written, it may have changes of a
                    // history that is lost by now, so it is given what the replica has.
                    Some(_) => self.publish_all(Source::Replica, until),
                    None => self.publish(until, healed),
                }
            }
            (Phase::Publishing { until, healed }, Outcome::Published(Ok(()))) => {
                self.published = Some(until);
                self.trouble = None;
                self.failures = 0;
                if healed > 0 {
                    self.counters.healed += healed;
                    tracing::warn!(
                        "{healed} records differed from the database and were read again"
                    );
                    return self.read_changes(now);
                }
                self.rest(now)
            }
            (Phase::Copying, Outcome::Copied(Ok((version, loss)))) => {
                self.copied(now, version, loss)
            }
            (Phase::Adopting { version }, Outcome::Adopted(Ok(()))) => self.adopted(now, version),
            (Phase::Digesting, Outcome::Digests(Ok(at))) => {
                self.comparison = Some(Comparison {
                    at,
                    touched: BTreeSet::new(),
                });
                self.read_changes(now)
            }
            (Phase::Weighing(pending), Outcome::Weighed(Ok(differing))) => {
                self.weighed(now, pending, differing)
            }
            (Phase::Differing(entities), Outcome::Differs(Ok(difference))) => {
                self.differs(now, &entities, difference)
            }
            (phase, outcome) => self.failed(now, phase, outcome),
        }
    }

    /// The operator vouches for the database as it is: what was doubted is believed when it is looked at again.
    pub(crate) fn accept(&mut self) {
        self.accepts |= self.doubt.is_some();
    }

    /// How long things take.
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// What the data plane serves.
    pub(crate) fn published(&self) -> Option<Version> {
        self.published
    }

    /// What the replica holds.
    pub(crate) fn replica(&self) -> Option<Version> {
        self.replica
    }

    /// The newest version that the shared store told of.
    pub(crate) fn newest(&self) -> Option<Version> {
        self.newest
    }

    /// The last fault, until something is published again.
    pub(crate) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }

    /// How the last call to the shared store ended.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Why the database is not believed.
    pub(crate) fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// What has happened so far.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the replica is written as changes come.
    pub(crate) fn is_current(&self) -> bool {
        self.replica.is_some() && self.replica_retry.is_none()
    }

    /// Brings the data plane to where the replica is, makes sure of the history, then reads changes.
    fn look(&mut self, now: Duration) -> Command {
        if let Some((from, at_least)) = self.publish_all {
            return self.publish_all(from, at_least);
        }
        match (self.replica, self.mark) {
            (Some(_), _) if self.is_partial => self.copy(),
            (Some(at), Some(_)) => {
                self.phase = Phase::Marking;
                Command::ReadMark { at }
            }
            _ => self.read_changes(now),
        }
    }

    fn marked(&mut self, found: Option<i64>) -> Command {
        self.answered();
        let expected = self.mark.take();
        if found.is_some() && found != expected {
            tracing::warn!("the database has another history than the replica: reading everything");
            return self.copy();
        }
        // What is not in the log any more cannot be compared; the changes tell whether it matters.
        match self.replica {
            Some(since) => self.read(since),
            None => self.copy(),
        }
    }

    fn read(&mut self, since: Version) -> Command {
        self.phase = Phase::Reading { since };
        Command::ReadChanges { since }
    }

    /// Asks for changes since what the replica has, or the data plane while the replica cannot be written.
    fn read_changes(&mut self, now: Duration) -> Command {
        let is_lagging = self.replica_retry.is_some_and(|at| now < at);
        let since = match (self.has_replica && !is_lagging, self.replica) {
            (true, Some(version)) => Some(version),
            (true, None) => return self.copy(),
            (false, _) => self.published,
        };
        match since {
            Some(since) => self.read(since),
            None => self.publish_all(Source::Shared, Version::default()),
        }
    }

    fn changes(&mut self, now: Duration, since: Version, changes: Changes) -> Command {
        let (until, events) = match changes {
            Changes::Events { until, events } if until >= since => (until, events),
            Changes::Events { until, .. } => return self.reload(now, until),
            Changes::Reload { from } => return self.reload(now, from),
        };
        self.newest = Some(until);
        let is_settled = self.replica == Some(since) && self.replica_retry.is_none();
        let pending = Pending {
            since,
            until,
            wanted: wanted(&events),
        };
        if let Some(comparison) = &mut self.comparison {
            let at = comparison.at;
            if until < at {
                // Histories changed in between.
                return self.reload(now, until);
            }
            let later = events.into_iter().filter(|event| event.version > at);
            comparison.touched.extend(later.map(|event| event.entity));
            if is_settled && since >= at {
                let except = std::mem::take(&mut comparison.touched);
                self.comparison = None;
                self.phase = Phase::Weighing(pending);
                return Command::Weigh { except };
            }
        }
        self.follow(now, pending)
    }

    fn follow(&mut self, now: Duration, pending: Pending) -> Command {
        let Pending {
            since,
            until,
            wanted,
        } = pending;
        if until > since {
            self.false_words = 0;
            self.phase = Phase::Fetching { since, until };
            return Command::Fetch { wanted };
        }
        match (self.replica_retry, self.replica) {
            // As when it is written again.
            (Some(_), Some(version)) if version == since => {
                self.replica_retry = None;
                self.publish_all(Source::Replica, version)
            }
            _ => self.rest(now),
        }
    }

    fn apply(&mut self, until: Version, healed: u64) -> Command {
        self.phase = Phase::Applying { until, healed };
        Command::Apply { until }
    }

    fn publish(&mut self, until: Version, healed: u64) -> Command {
        self.phase = Phase::Publishing { until, healed };
        Command::Publish { until }
    }

    /// Nothing is known to be left to do: compares if it is time to, else waits for a word.
    fn rest(&mut self, now: Duration) -> Command {
        if self.comparison.is_some() {
            return self.read_changes(now);
        }
        let compares = self.has_replica && self.replica.is_some() && self.replica_retry.is_none();
        if compares && now >= self.compare_at {
            self.compare_later(now);
            self.phase = Phase::Digesting;
            return Command::ReadDigests;
        }
        let mut limit = self.spread(self.timing.poll);
        if compares {
            limit = limit.min(self.compare_at.saturating_sub(now));
        }
        if let Some(at) = self.replica_retry {
            limit = limit.min(at.saturating_sub(now));
        }
        match self.false_words {
            0..MAX_FALSE_WORDS => self.wait(now, limit, self.published),
            _ => self.wait(now, limit.min(self.timing.retry.0), None),
        }
    }

    /// The log does not lead from where this node is to where the shared store is.
    fn reload(&mut self, now: Duration, from: Version) -> Command {
        self.comparison = None;
        self.newest = Some(from);
        let is_lagging = self.replica_retry.is_some_and(|at| now < at);
        match self.has_replica {
            true if is_lagging => {
                // Only a copy can be judged, so what is served goes on until one can be written.
                tracing::error!(
                    "everything has to be read again, and the replica cannot be written"
                );
                self.wait(now, self.timing.replica_retry, None)
            }
            true => self.copy(),
            false => {
                self.counters.reloads += 1;
                self.publish_all(Source::Shared, from)
            }
        }
    }

    fn copy(&mut self) -> Command {
        self.comparison = None;
        self.phase = Phase::Copying;
        Command::Copy
    }

    fn copied(&mut self, now: Duration, version: Version, loss: Option<Loss>) -> Command {
        self.answered();
        self.newest = Some(version);
        if self.doubts(now, loss) {
            self.phase = Phase::Discarding;
            return Command::Discard;
        }
        self.phase = Phase::Adopting { version };
        Command::Adopt { version }
    }

    /// Whether a content is not to be believed.
    fn doubts(&mut self, now: Duration, loss: Option<Loss>) -> bool {
        let before = self.doubt.take();
        if self.accepts {
            return false;
        }
        let is_new = |doubt: &Doubt| before.as_ref().is_none_or(|b| b.loss != doubt.loss);
        let doubt = Doubt::judge(before.clone(), loss, now, self.timing.belief);
        if let Some(doubt) = doubt.as_ref().filter(|doubt| is_new(doubt)) {
            tracing::error!("{}: serving the last configuration", doubt.loss);
        }
        self.doubt = doubt;
        self.doubt.is_some()
    }

    fn adopted(&mut self, now: Duration, version: Version) -> Command {
        self.replica = Some(version);
        self.mark = None;
        self.is_partial = false;
        self.replica_retry = None;
        self.accepts = false;
        self.counters.reloads += 1;
        self.compare_soon(now);
        self.publish_all(Source::Replica, version)
    }

    fn publish_all(&mut self, from: Source, at_least: Version) -> Command {
        self.publish_all = Some((from, at_least));
        self.phase = Phase::PublishingAll;
        Command::PublishAll { from, at_least }
    }

    fn weighed(&mut self, now: Duration, pending: Pending, differing: Vec<String>) -> Command {
        self.counters.comparisons += 1;
        if differing.is_empty() {
            self.doubt = None;
            self.accepts = false;
            return self.follow(now, pending);
        }
        self.phase = Phase::Differing(differing.clone());
        Command::Differ {
            entities: differing,
        }
    }

    fn differs(&mut self, now: Duration, entities: &[String], difference: Difference) -> Command {
        self.answered();
        if !matches!(difference, Difference::Records { count: 0, .. }) {
            self.counters.divergences += entities.len() as u64;
            let entities = entities.join(", ");
            tracing::warn!(
                "the replica is not like the database, and no change says why: {entities}"
            );
        }
        match difference {
            Difference::TooMany => self.copy(),
            Difference::Records { loss, .. } if self.doubts(now, loss.clone()) => {
                self.compare_at = now + self.timing.doubt;
                self.wait(now, self.timing.doubt, self.published)
            }
            // Something that expired, and that only one side has removed so far.
            Difference::Records { count: 0, .. } => self.read_changes(now),
            Difference::Records { count, .. } => match self.replica {
                Some(until) => {
                    self.accepts = false;
                    self.compare_soon(now);
                    self.apply(until, count)
                }
                None => self.copy(),
            },
        }
    }

    fn answered(&mut self) {
        self.reach = Reach::Answers;
        self.failures = 0;
    }

    fn wait(&mut self, now: Duration, limit: Duration, word_of: Option<Version>) -> Command {
        self.phase = Phase::Waiting;
        self.wait_ends = now + limit;
        Command::Wait { limit, word_of }
    }

    fn compare_soon(&mut self, now: Duration) {
        self.compare_pause = self.timing.compare.0;
        self.compare_at = now + self.spread(self.compare_pause);
    }

    fn compare_later(&mut self, now: Duration) {
        self.compare_pause = (self.compare_pause * 4).min(self.timing.compare.1);
        self.compare_at = now + self.spread(self.compare_pause);
    }

    /// Somewhere between half of a period and the whole, so that nodes that start together drift apart.
    fn spread(&mut self, period: Duration) -> Duration {
        let half = period / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(self.random.below(nanos.saturating_add(1)))
    }
}

/// The records that events name, each once.
fn wanted(events: &[Event]) -> Vec<(String, Uuid)> {
    let mut seen = BTreeSet::new();
    let named = events.iter().map(|event| (event.entity.as_str(), event.id));
    named
        .filter(|record| seen.insert(*record))
        .map(|(entity, id)| (entity.to_owned(), id))
        .collect()
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
