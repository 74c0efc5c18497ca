//! Backups of a store: written while it serves, verified, restored, kept for as long as wanted.
//!
//! A backup is one file: a line of plain text with a format number, a length and a checksum, then gzip. Inside are lines
//! of JSON: who wrote it and when, one line for each record as the store keeps it, and at the end how many there were
//! and their digests (see [`mod@format`]). `tail -n +2 FILE | zcat` shows it.
//!
//! - [`write`] reads one version of the store, streams it, and gives the file its name when it is whole and on disk.
//! - [`Backup::open`] refuses a file that is cut short, damaged, foreign or newer before anybody looks into it.
//! - [`Backup::restore`] makes it the whole content of a store in one commit, or changes nothing.
//! - [`Backup::verify`] restores into a scratch store and compares what that store then says.
//! - [`folder`] names the files of a folder and removes the oldest.
//!
//! Workspaces are left out, as in exports: each store has its own default one. Memory does not grow with the content.

mod error;
pub mod folder;
pub mod format;
mod read;
mod restore;
mod write;

pub use error::Error;
pub use read::Backup;
pub use restore::Restored;
pub use write::{Target, Written, write};

use schema::Schema;
use store::Catalog;

/// The entities of a backup, parents first.
pub fn entities(catalog: &Catalog) -> Vec<&'static Schema> {
    catalog
        .parents_first()
        .filter(|schema| schema.name != "workspaces")
        .collect()
}
