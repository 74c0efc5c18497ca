//! Which address of an upstream gets the next request: Kong's four algorithms as pure state machines.
//!
//! No IO and no clock: time and randomness come in as arguments. A [`Balancer`] belongs to one worker and is changed
//! by every pick; it knows its addresses by index. It is told which of them are healthy whenever that changes; what
//! differs from exchange to exchange (which addresses it has tried, which have room now) is asked at each pick.

mod consistent_hashing;
mod hash;
mod heap;
mod latency;
mod least_connections;
mod policy;
mod round_robin;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consistent_hashing::ConsistentHashing;
use latency::Latency;
use least_connections::LeastConnections;
use round_robin::RoundRobin;
use stdx::SeededRandom;

pub use hash::xxhash32;
pub use policy::{Algorithm, HashInput, HashPolicy};

/// One address of a target, with its share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The target's name as it was configured, without its port.
    pub target: Arc<str>,
    /// The target's port as it was configured.
    pub target_port: u16,
    /// What the name resolved to: an address, IPv6 in brackets, or a name.
    pub host: Arc<str>,
    /// What the target's DNS record says, which Kong's ring knows an address by: the address itself, or the name in an SRV
    /// record.
    pub record: Arc<str>,
    pub port: u16,
    /// Zero takes no traffic.
    pub weight: u32,
}

impl Address {
    /// What stays the same when the weight changes.
    fn endpoint(&self) -> (&str, &str, u16) {
        (&self.target, &self.host, self.port)
    }
}

/// What a balancer is made for, beside its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub algorithm: Algorithm,
    /// The size of the hashing ring.
    pub slots: u32,
    /// How many targets there are, those without addresses included.
    pub targets: usize,
}

/// What a pick may take, of those that are healthy.
pub trait Eligible {
    /// Whether this exchange has tried it already. Such an address is taken only if there is no other.
    fn is_tried(&self, address: usize) -> bool;
    /// Whether it takes another exchange now.
    fn has_room(&self, _address: usize) -> bool {
        true
    }
    /// Whether it is to be spared. Such an address is taken only if there is no other that is untried.
    fn is_spared(&self, _address: usize) -> bool {
        false
    }
}

/// Every address is untried and has room.
#[derive(Debug, Clone, Copy)]
pub struct All;

impl Eligible for All {
    fn is_tried(&self, _: usize) -> bool {
        false
    }
}

/// The addresses of one upstream and the state of its algorithm.
#[derive(Debug)]
pub struct Balancer {
    addresses: Vec<Address>,
    /// By address. Perf: what is known of its health lies elsewhere, and far apart.
    healthy: Vec<bool>,
    state: State,
}

#[derive(Debug)]
enum State {
    RoundRobin(RoundRobin),
    ConsistentHashing(ConsistentHashing),
    LeastConnections(LeastConnections),
    Latency(Latency),
}

impl Balancer {
    /// A balancer over addresses, which keep the order they are given in, and are healthy. The random numbers decide where
    /// a round begins.
    pub fn new(
        shape: Shape,
        addresses: Vec<Address>,
        now: Instant,
        random: &mut SeededRandom,
    ) -> Self {
        let weights = || addresses.iter().map(|address| address.weight);
        let state = match shape.algorithm {
            Algorithm::RoundRobin => State::RoundRobin(RoundRobin::new(weights(), random)),
            Algorithm::ConsistentHashing => {
                State::ConsistentHashing(ConsistentHashing::new(&addresses, shape))
            }
            Algorithm::LeastConnections => {
                State::LeastConnections(LeastConnections::new(weights(), |_| 0))
            }
            Algorithm::Latency => State::Latency(Latency::new(weights(), now, |_| None)),
        };
        Self::with_state(addresses, state)
    }

    fn with_state(addresses: Vec<Address>, state: State) -> Self {
        Self {
            healthy: vec![true; addresses.len()],
            addresses,
            state,
        }
    }

    /// A balancer over new addresses that goes on with what this one has counted and measured for those that stay. All are
    /// healthy until somebody says otherwise.
    #[must_use]
    pub fn with_addresses(
        &self,
        shape: Shape,
        addresses: Vec<Address>,
        now: Instant,
        random: &mut SeededRandom,
    ) -> Self {
        let old = self.addresses.iter().enumerate();
        let old: HashMap<_, _> = old
            .map(|(index, address)| (address.endpoint(), index))
            .collect();
        let old_index = |new: usize| old.get(&addresses.get(new)?.endpoint()).copied();
        let weights = || addresses.iter().map(|address| address.weight);
        let state = match (shape.algorithm, &self.state) {
            (Algorithm::LeastConnections, State::LeastConnections(old)) => {
                let connections = |new| old_index(new).map_or(0, |index| old.connections(index));
                State::LeastConnections(LeastConnections::new(weights(), connections))
            }
            (Algorithm::Latency, State::Latency(old)) => {
                let measured = |new| old_index(new).and_then(|index| old.measured(index));
                State::Latency(Latency::new(weights(), now, measured))
            }
            _ => return Self::new(shape, addresses, now, random),
        };
        Self::with_state(addresses, state)
    }

    /// The addresses, in the order of their indices.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Where an address stands, whatever its weight; for a pick that outlived a change of addresses.
    pub fn index_of(&self, address: &Address) -> Option<usize> {
        let endpoint = address.endpoint();
        self.addresses
            .iter()
            .position(|own| own.endpoint() == endpoint)
    }

    /// Says which addresses are healthy from now on. No other one is picked.
    pub fn set_healthy(&mut self, is_healthy: impl Fn(usize) -> bool) {
        for (index, healthy) in self.healthy.iter_mut().enumerate() {
            *healthy = is_healthy(index);
        }
        match &mut self.state {
            State::RoundRobin(_) | State::ConsistentHashing(_) => {}
            State::LeastConnections(state) => state.set_healthy(&self.healthy),
            State::Latency(state) => state.set_healthy(&self.healthy),
        }
    }

    /// Whether an address is healthy, as far as it was said.
    pub fn is_healthy(&self, address: usize) -> bool {
        self.healthy.get(address).copied().unwrap_or_default()
    }

    /// Chooses an address for an exchange; `None` if no healthy address with room has a weight.
    ///
    /// `key` is what consistent hashing goes by; equal keys get the same address as long as it can be used.
    /// Addresses that were tried come last, and before them those that are to be spared. With least connections, each
    /// pick must be paired with a [`Self::release`].
    pub fn pick(&mut self, key: &[u8], eligible: &impl Eligible) -> Option<usize> {
        let usable = |address: usize| eligible.has_room(address);
        let fresh = |address: usize| usable(address) && !eligible.is_tried(address);
        let picked = self.pick_among(key, |address| {
            fresh(address) && !eligible.is_spared(address)
        });
        picked
            .or_else(|| self.pick_among(key, fresh))
            .or_else(|| self.pick_among(key, usable))
    }

    fn pick_among(&mut self, key: &[u8], allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let healthy = &self.healthy;
        let allowed = |index: usize| healthy.get(index) == Some(&true) && allowed(index);
        match &mut self.state {
            State::RoundRobin(state) => state.pick(allowed),
            State::ConsistentHashing(state) => state.pick(key, allowed),
            State::LeastConnections(state) => state.pick(allowed),
            State::Latency(state) => state.pick(allowed),
        }
    }

    /// Says that an exchange with a picked address is over, and how long connecting and answering took, if it
    /// answered.
    pub fn release(&mut self, address: usize, answered_after: Option<Duration>, now: Instant) {
        match &mut self.state {
            State::RoundRobin(_) | State::ConsistentHashing(_) => {}
            State::LeastConnections(state) => state.release(address),
            State::Latency(state) => {
                if let Some(time) = answered_after {
                    state.measure(address, time, now);
                }
            }
        }
    }

    /// The percentage of the total weight that is on addresses which are healthy; `None` without weight.
    pub fn healthy_share(&self, is_healthy: impl Fn(usize) -> bool) -> Option<f64> {
        let total: u64 = self
            .addresses
            .iter()
            .map(|address| u64::from(address.weight))
            .sum();
        let healthy = self.addresses.iter().enumerate();
        let healthy = healthy.filter(|(index, _)| is_healthy(*index));
        let healthy: u64 = healthy.map(|(_, address)| u64::from(address.weight)).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "sums of 16-bit weights are far below 2^52"
        )]
        let percent = healthy as f64 * 100.0 / total as f64;
        (total > 0).then_some(percent)
    }
}

#[cfg(test)]
mod tests;
