//! Kong's declarative configuration: YAML or JSON in the formats 1.1, 2.1 and 3.0, to records and back.
//!
//! [`Document`] is the text as a bounded tree, [`Document::parse`] makes a [`Config`] of it: nested entities become
//! records of their own, references by name become ids, missing ids are derived from what the record says, so that
//! loading the same text twice gives the same records.
//! [`export`] writes what a store holds, [`last_good`] keeps the newest valid configuration on disk.

mod config;
mod document;
mod errors;
mod export;
mod ids;
mod import;
pub mod last_good;
mod nested;
mod paths;
mod references;
mod yaml;

pub use config::Config;
pub use document::{Document, Format};
pub use errors::Errors;
pub use export::export;
pub use import::import;

use schema::Subschemas;
use stdx::Clock;
use store::Catalog;

/// The hash of a node that has loaded no configuration.
pub const EMPTY_HASH: &str = "00000000000000000000000000000000";

/// What a file of declared entities may hold: a million services and routes several times over.
const LARGEST_FILE: u64 = 2 << 30;

/// The bytes of a file of declared entities.
///
/// # Errors
/// When it cannot be read, or is larger than any configuration.
pub fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    stdx::files::read_bounded(path, LARGEST_FILE)
}

/// What parsing needs to know about the gateway.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The entities.
    pub catalog: &'a Catalog,
    /// The plugins and vaults.
    pub subschemas: &'a dyn Subschemas,
    pub clock: &'a dyn Clock,
}

/// Reads and validates a declarative configuration.
///
/// # Errors
/// Everything that is wrong with it, see [`Errors`].
pub fn parse(text: &[u8], format: Format, context: &Context<'_>) -> Result<Config, Errors> {
    Document::read(text, format)?.parse(context)
}
