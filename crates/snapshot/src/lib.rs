//! The configuration as the data plane wants it: typed, compiled and immutable.
//!
//! A [`Snapshot`] is never changed. [`Snapshot::with`] makes the next one out of a set of [`Change`]s and shares with
//! the one before whatever did not change, so that its cost depends on the change and not on the configuration.
//! A record that cannot be compiled becomes a [`Problem`]: what the snapshot held in its place stays, everything else
//! goes on. Health, counters and connections live elsewhere and survive the change of snapshots.
//!
//! [`load`] and [`fetch`] are the only functions that ask a store.

mod certificate;
mod load;
mod plugins;
mod read;
mod route;
mod service;
mod snapshot;
mod upstream;
mod vault;

use router::Flavor;
use schema::Record;
use uuid::Uuid;

pub use certificate::{CaCertificate, Certificate, Material};
pub use load::{fetch, load};
pub use plugins::{Chain, ChainKey, Instance, Link, NoPlugins, PluginTable, Plugins};
pub use route::Route;
pub use service::{Service, authority};
pub use snapshot::{Options, Snapshot};
pub use upstream::{Target, Upstream};
pub use vault::{References, Unresolved, Vault};

#[cfg(test)]
mod tests;

/// One record as the store has it now.
#[derive(Debug, Clone)]
pub struct Change {
    /// The schema's name.
    pub entity: &'static str,
    pub id: Uuid,
    /// `None` if it is gone.
    pub record: Option<Record>,
}

/// A record that was left out, or left as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entity} {id}: {reason}")]
pub struct Problem {
    pub entity: &'static str,
    pub id: Uuid,
    pub reason: String,
}

/// What a record lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the field {0} is missing or has the wrong type")]
    Field(&'static str),
    #[error("the field {field} cannot be {value:?}")]
    Value { field: &'static str, value: String },
    #[error("the reference {0} has no value")]
    Unresolved(String),
    #[error("{0}")]
    Certificate(String),
    #[error("requests through the plugin {name} are refused: {reason}")]
    Plugin { name: String, reason: String },
}

/// The entities that make a snapshot, parents before children.
pub const ENTITIES: [&str; 9] = [
    "vaults",
    "ca_certificates",
    "certificates",
    "snis",
    "upstreams",
    "targets",
    "services",
    "routes",
    "plugins",
];

/// The flavour that a name of the setting `router_flavor` stands for, as the router and the entities know it.
pub fn entities_flavor(flavor: Flavor) -> entities::RouterFlavor {
    match flavor {
        Flavor::TraditionalCompatible => entities::RouterFlavor::TraditionalCompatible,
        Flavor::Traditional => entities::RouterFlavor::Traditional,
        Flavor::Expressions => entities::RouterFlavor::Expressions,
    }
}
