//! Why a backup could not be made, read or restored.

use std::io;
use std::path::{Path, PathBuf};

/// An error in words for operators; whatever it says, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {what} {}: {source}", .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("{} is not a backup of Silverback", .0.display())]
    Foreign(PathBuf),
    #[error(
        "{} was written by a newer version of Silverback (format {found}; this one reads formats up to {known})",
        .path.display()
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("{} is cut short: it has {found} of {expected} bytes", .path.display())]
    CutShort {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{} holds the entity {entity}, which this version of Silverback does not know",
        .path.display()
    )]
    UnknownEntity { path: PathBuf, entity: String },
    #[error(
        "{} holds the field {field} of {entity}, which this version of Silverback does not know",
        .path.display()
    )]
    UnknownField {
        path: PathBuf,
        entity: String,
        field: String,
    },
    #[error("{entity} did not come back as they were written: {found} instead of {expected}")]
    Differs {
        entity: String,
        expected: String,
        found: String,
    },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    pub(crate) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
