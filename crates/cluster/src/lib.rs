//! One node among many: following the shared store, keeping a copy of it, knowing the other nodes.
//!
//! - [`machine`] is the protocol: what to do next, decided without IO or clock, and simulated in its tests.
//! - [`follower`] carries its commands out: it reads the shared store, writes the replica, and hands configurations to
//!   whoever [`Publish`]es them.
//! - [`failover`] answers reads from the replica while the shared store is out of reach.
//! - [`members`] reports this node to the others and waits for them.
//! - [`words`] carries what nodes tell each other beside the configuration.
//!
//! Invariant: what is published is never replaced because of a failure, and a database that lost everything without a
//! word in its log is not believed (see [`judge`]).
//! A store that one process has for itself is followed in the same way, without a replica and without members.

mod failover;
#[cfg(test)]
mod fixture;
mod follower;
mod judge;
mod link;
mod machine;
mod members;
mod node;
mod publish;
mod status;
mod timing;
mod words;

pub use failover::{FailoverStore, LocalStore, observe_staleness};
pub use members::{Member, NodeRow, Roster};
pub use node::{Cluster, First, Parts};
pub use publish::Publish;
pub use status::{Contact, Counters, Status};
pub use store::Change;
pub use timing::Timing;
pub use words::{Hearer, Words};

/// Why a configuration was not published, or a copy not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The shared store, or the replica, failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The records were read, and the data plane did not take them.
    #[error("the data plane did not take the configuration: {0}")]
    Publish(String),
}
