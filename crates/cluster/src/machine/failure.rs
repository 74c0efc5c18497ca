//! What the machine does after something failed: it says so, waits, and begins again from what was reached.

use std::time::Duration;

use store::Version;

use super::words::{Command, Fault, Outcome, Reach, Source};
use super::{Machine, Phase};

impl Machine {
    /// What did not end well, or not as it should: waits, and begins again from what was reached.
    pub(super) fn failed(&mut self, now: Duration, phase: Phase, outcome: Outcome) -> Command {
        self.comparison = None;
        let fault = match outcome {
            Outcome::Mark(Err(fault))
            | Outcome::Changes(Err(fault))
            | Outcome::Fetched(Err(fault))
            | Outcome::Published(Err(fault))
            | Outcome::Applied(Err(fault))
            | Outcome::Copied(Err(fault))
            | Outcome::Adopted(Err(fault))
            | Outcome::PublishedAll(Err(fault))
            | Outcome::Digests(Err(fault))
            | Outcome::Weighed(Err(fault))
            | Outcome::Differs(Err(fault)) => fault,
            other => Fault::Publish(format!("{other:?} while {phase:?}")),
        };
        self.trouble = Some(fault.clone());
        match fault {
            Fault::Shared(reason) => {
                self.counters.failures += 1;
                if self.failures == 0 {
                    tracing::error!("the database fails, serving the last configuration: {reason}");
                }
                self.reach = Reach::Fails(reason);
                self.pause(now)
            }
            Fault::Busy(reason) => {
                tracing::debug!("asking the database again: {reason}");
                self.pause(now)
            }
            Fault::Publish(reason) => {
                self.counters.publish_failures += 1;
                tracing::error!("a configuration is not published: {reason}");
                if let (Phase::Publishing { until, .. }, true) = (phase, self.is_current()) {
                    // The replica has it already.
                    self.publish_all = Some((Source::Replica, until));
                }
                self.pause(now)
            }
            Fault::Replica(reason) => self.replica_failed(now, phase, &reason),
        }
    }

    fn replica_failed(&mut self, now: Duration, phase: Phase, reason: &str) -> Command {
        self.counters.replica_failures += 1;
        tracing::error!("the replica cannot be used: {reason}");
        self.replica_retry = Some(now + self.timing.replica_retry);
        if phase == Phase::PublishingAll {
            // What cannot be read cannot be gone on from either.
            self.publish_all = None;
            self.replica = None;
        }
        if let Phase::Applying { until, healed } = phase {
            return self.publish(until, healed);
        }
        match self.published {
            // Without anything to lose, the shared store is believed.
            None => self.publish_all(Source::Shared, Version::default()),
            Some(_) => self.rest(now),
        }
    }

    /// Waits for longer after each failure, without listening: a store that fails may announce all the same.
    fn pause(&mut self, now: Duration) -> Command {
        let (first, longest) = self.timing.retry;
        let pause = first
            .saturating_mul(1 << self.failures.min(16))
            .min(longest);
        self.failures = self.failures.saturating_add(1);
        let limit = self.spread(pause);
        self.wait(now, limit, None)
    }
}
