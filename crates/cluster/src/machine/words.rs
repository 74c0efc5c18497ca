//! What the machine says and hears.

use std::collections::BTreeSet;
use std::time::Duration;

use store::{Changes, Version};
use uuid::Uuid;

use crate::judge::Loss;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing, for a while; or, if `word_of` is a version, until something may be newer than it.
    Wait {
        limit: Duration,
        word_of: Option<Version>,
    },
    /// Asks the shared store for the mark of a version.
    ReadMark { at: Version },
    /// Asks the shared store what has changed.
    ReadChanges { since: Version },
    /// Reads records of the shared store as they are now, and keeps them for the commands that follow.
    Fetch { wanted: Vec<(String, Uuid)> },
    /// Hands what was fetched to the data plane.
    Publish { until: Version },
    /// Writes what was fetched to the replica.
    Apply { until: Version },
    /// Reads everything of the shared store into a content beside the replica's.
    Copy,
    /// Makes the copied content the replica's.
    Adopt { version: Version },
    /// Forgets the copied content.
    Discard,
    /// Hands everything to the data plane.
    PublishAll { from: Source, at_least: Version },
    /// Asks the shared store for its digests, and keeps them.
    ReadDigests,
    /// Compares the digests that were kept with the replica's, but for some entities.
    Weigh { except: BTreeSet<String> },
    /// Reads the records of some entities and keeps those that the replica has otherwise, as if they were fetched.
    Differ { entities: Vec<String> },
}

/// Where a whole configuration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Replica,
    Shared,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Of [`Command::Wait`], whatever ended it, and of [`Command::Discard`].
    Done,
    Mark(Result<Option<i64>, Fault>),
    Changes(Result<Changes, Fault>),
    Fetched(Result<(), Fault>),
    Published(Result<(), Fault>),
    Applied(Result<(), Fault>),
    Copied(Result<(Version, Option<Loss>), Fault>),
    Adopted(Result<(), Fault>),
    PublishedAll(Result<Version, Fault>),
    /// The version that the digests are of.
    Digests(Result<Version, Fault>),
    /// The entities that differ.
    Weighed(Result<Vec<String>, Fault>),
    Differs(Result<Difference, Fault>),
}

/// What the replica has otherwise than the shared store.
#[derive(Debug, Clone)]
pub(crate) enum Difference {
    Records {
        count: u64,
        loss: Option<Loss>,
    },
    /// So many that reading everything again is cheaper.
    TooMany,
}

/// Whose fault it is that a command failed; the text is for the log and for the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The shared store does not answer, or fails.
    Shared(String),
    /// The shared store answers, but cannot do this now.
    Busy(String),
    /// The replica cannot be read or written.
    Replica(String),
    /// The data plane did not take it.
    Publish(String),
}

/// What the machine stands at when it starts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Begin {
    /// Whether there is a replica at all.
    pub(crate) has_replica: bool,
    /// What the replica holds, with its mark.
    pub(crate) replica: Option<(Version, Option<i64>)>,
    /// Whether the replica lacks entities that are declared now.
    pub(crate) is_partial: bool,
    /// Whether the settings name another database than the one that the replica is a copy of.
    pub(crate) is_moved: bool,
}

/// How the last call to the shared store ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// There was none.
    #[default]
    Unknown,
    Answers,
    Fails(String),
}
