//! One node: settings, store, compiled configuration, workers and the control side, put together.

mod access_log;
mod applied;
pub mod certificates;
mod control;
mod convert;
mod declarative_config;
mod error;
mod following;
mod health_checks;
mod info;
mod limits;
mod log_level;
mod membership;
pub mod metrics;
mod node;
pub mod offline;
mod plugin_counters;
mod plugin_endpoints;
mod plugin_table;
mod plugin_writer;
pub mod postgres;
mod prefix;
mod publisher;
mod references;
pub mod reload_request;
mod sides;
mod stores;
mod surroundings;
mod words;
mod workers;

pub use error::Error;
pub use node::{Addresses, Node, check};
pub use plugins::reference_markdown as plugins_markdown;
pub use prefix::{Claim, Prefix};
pub use stores::{DeclaredEntities, open_store, repository, stored_vault};
pub use surroundings::obstacles;
