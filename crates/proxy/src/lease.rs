//! A pick out of an upstream's targets, for as long as an exchange uses it.

use std::sync::Arc;
use std::time::Instant;

use balancer::Address;
use health::{AddressHealth, Group, Observation, Place, Tally};
use snapshot::Upstream;
use stdx::Clock;

use crate::balancing::Entries;
use crate::error::Error;

/// What a passive check is called where somebody asks why a target is out.
const TRAFFIC: &str = "traffic";

/// An address of an upstream, to be given back when the exchange is over.
///
/// It names the address and not only its place: the balancer may be replaced while the exchange goes on.
#[derive(Debug)]
pub(crate) struct Lease {
    pub entries: Entries,
    pub upstream: Arc<Upstream>,
    pub address: Address,
    pub index: usize,
    /// The balancer in which the address has the index.
    pub number: u64,
    pub group: Arc<Group>,
    pub health: Arc<AddressHealth>,
    pub tally: Arc<Tally>,
    /// One of the requests that the address handles at a time, if they are limited.
    pub place: Option<Place>,
    /// Counts in the balancer until it is given back.
    pub open: bool,
    pub past: Past,
    pub began: Instant,
    pub clock: Arc<dyn Clock>,
}

/// What an exchange has done so far to find a target.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What hashing goes by, once it is known.
    pub key: Option<Vec<u8>>,
    pub tried: Vec<Address>,
}

impl Lease {
    /// Where it came from.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// What the exchange has done so far, for another pick.
    pub fn into_past(mut self) -> Past {
        std::mem::take(&mut self.past)
    }

    /// Notes that the address did not serve, and whether that was its fault.
    pub fn failed(&mut self, error: &Error) {
        let observation = match error {
            Error::Connect(error) if error.kind == net::ConnectFailure::Local => None,
            _ if error.status() == 504 => Some(Observation::TimedOut),
            Error::Response(_) => Some(Observation::Garbage),
            _ if error.is_upstream_failure() => Some(Observation::ConnectionFailed),
            _ => None,
        };
        if let Some(observation) = observation {
            self.tally.count(observation);
            self.observe(observation);
        }
        self.past.tried.push(self.address.clone());
        self.release(false);
    }

    /// Notes that the address answered.
    pub fn answered(&self, status: u16) {
        self.tally.count(Observation::Status(status));
        // Compat: a gateway's status 504 is a timeout, whoever gives it.
        self.observe(match status {
            504 => Observation::TimedOut,
            _ => Observation::Status(status),
        });
    }

    fn observe(&self, observation: Observation) {
        if !self.group.is_on() {
            return;
        }
        let thresholds = &self.group.checks().passive;
        if self.health.observe(observation, thresholds, TRAFFIC) {
            tracing::warn!(
                upstream = %self.upstream.name, target = %self.address.target, port = self.address.port,
                healthy = self.health.is_healthy(), ?observation, "the health of a target changed"
            );
        }
    }

    fn release(&mut self, answered: bool) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.place = None;
        let now = self.clock.monotonic();
        let time = answered.then(|| now.saturating_duration_since(self.began));
        self.entries.release(
            &self.upstream,
            (self.number, self.index),
            &self.address,
            time,
            now,
        );
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release(true);
    }
}
