//! Why a node cannot start or change.

use std::path::{Path, PathBuf};

use crate::postgres::Obstacle;

/// What can keep a node from working.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder.
    #[error("a node is already running in {0}: stop it first, or choose another prefix with -p")]
    AlreadyRunning(PathBuf),
    /// A file or folder of the prefix.
    #[error(
        "cannot {action} {path}: {source}; choose a folder that can be written with -p or `prefix`"
    )]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A database that cannot be used yet.
    #[error(
        "{0} is not built yet: choose `database = postgres`, `database = sqlite` or `database = off`"
    )]
    NotBuilt(&'static str),
    /// What is in the database is not what a node needs.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// The database does not answer, and nothing was kept of it.
    #[error(
        "PostgreSQL at {place} is out of reach, and this node has no copy of its configuration yet: {reason}"
    )]
    DatabaseAway { place: String, reason: String },
    /// A certificate or key.
    #[error("certificate: {0}")]
    Certificate(String),
    /// A name in a listener setting.
    #[error("{setting}: cannot resolve {host}: {reason}")]
    Resolve {
        setting: &'static str,
        host: String,
        reason: String,
    },
    /// A port, most often one that is taken.
    #[error("{setting}: {source}")]
    Listen {
        setting: &'static str,
        source: net::Error,
    },
    /// Something that the system lacks.
    #[error("{what}: {source}")]
    System {
        what: &'static str,
        source: std::io::Error,
    },
    /// Settings that the network layer refuses.
    #[error("{0}")]
    Net(#[from] net::Error),
    /// The file of the embedded store cannot be used.
    #[error(
        "cannot open the store {path}: {reason}; put a copy of it back, or move it away and use `silverback restore`, \
         or choose another prefix with -p or `prefix`"
    )]
    OpenStore { path: PathBuf, reason: String },
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
    /// The configuration in the store cannot be compiled.
    #[error("the configuration: {0}")]
    Configuration(String),
    /// The log.
    #[error(transparent)]
    Log(#[from] observe::Error),
    /// A plugin that there is not.
    #[error(transparent)]
    Plugins(#[from] plugins::UnknownPlugin),
    /// A change that only a restart can make.
    #[error("{0} cannot change while the node runs: restart it")]
    NeedsRestart(&'static str),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
