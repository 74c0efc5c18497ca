//! Which targets can be used: probes, observations of traffic, and what is known of each address.
//!
//! What is known lives in one place for the whole node, a [`Registry`]: workers read it and report to it without a
//! lock, the one prober of the node writes to it, and it outlives changes of the configuration. It is a state and not
//! a stream of events, so nobody can miss a change.

mod address;
mod checks;
mod group;
mod names;
mod probe;
mod prober;
mod traffic;

pub use address::{AddressHealth, Mark, Observation, Reason};
pub use checks::{Active, Checks, Kind, Thresholds};
pub use group::{Group, Registry};
pub use names::{RecordType, Resolved, TargetName, resolve, resolve_all, resolve_at_once};
pub use probe::Probe;
pub use prober::Prober;
pub use traffic::{Place, Queue, Tally, Waiting};

#[cfg(test)]
mod tests;
