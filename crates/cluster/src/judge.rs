//! Whether a content that the log does not explain is to be believed.
//!
//! A database that is restored, created anew or emptied behind the log's back looks healthy and answers every query.
//! Following it would take the configuration away from all nodes at once, so what a node serves goes on:
//!
//! - As long as nothing at all is left of what there was, until something is there again or the operator says that it
//!   is meant so: [`Cluster::accept_database`](crate::Cluster::accept_database), or settings that name another database.
//! - While some kinds of records are gone whole, as in the middle of a restore, for a while; if it stays so, it is believed.
//!
//! Deletions that are in the log are followed without a question.

use std::time::Duration;

use store::replica::Counts;

/// Entities of which every database has records from the start.
const ALWAYS_THERE: [&str; 1] = ["workspaces"];

/// What a content lacks that the one before had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Entities of which there were records and are none, in order of their names.
    pub(crate) kinds: Vec<String>,
    /// Whether nothing is left.
    pub(crate) is_total: bool,
}

impl Loss {
    /// Compares how many records there were with how many there are; `None` if no kind is gone.
    pub(crate) fn between(before: &Counts, after: &Counts) -> Option<Self> {
        let had = |name: &String| !ALWAYS_THERE.contains(&name.as_str());
        let is_gone = |name: &String| after.get(name).copied().unwrap_or(0) == 0;
        let counted = before.iter().filter(|(_, count)| **count > 0);
        let before: Vec<_> = counted.map(|(name, _)| name).filter(|n| had(n)).collect();
        let kinds: Vec<_> = before.iter().filter(|n| is_gone(n)).collect();
        (!kinds.is_empty()).then(|| Self {
            is_total: kinds.len() == before.len(),
            kinds: kinds.into_iter().map(|name| (*name).clone()).collect(),
        })
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.kinds.join(", ");
        match self.is_total {
            true => write!(
                f,
                "the database has lost everything ({kinds}) and its log does not say why"
            ),
            false => write!(
                f,
                "the database has no {kinds} any more and its log does not say why"
            ),
        }
    }
}

/// A loss that was seen and is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) loss: Loss,
    /// When this loss was seen first.
    pub(crate) since: Duration,
}

impl Doubt {
    /// Whether a content is to be believed at `now`; the doubt to go on with if not.
    pub(crate) fn judge(
        before: Option<Self>,
        loss: Option<Loss>,
        now: Duration,
        belief: Duration,
    ) -> Option<Self> {
        let loss = loss?;
        let since = match before {
            Some(doubt) if doubt.loss == loss => doubt.since,
            _ => now,
        };
        let is_believed = !loss.is_total && now.saturating_sub(since) >= belief;
        (!is_believed).then_some(Self { loss, since })
    }
}

#[cfg(test)]
mod tests;
