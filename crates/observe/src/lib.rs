//! What a node tells about itself: the error log and the metrics page.

pub mod logging;
pub mod metrics;

/// What can go wrong in here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is not a log level: debug, info, notice, warn, error, crit, alert or emerg")]
    UnknownLevel(String),
    #[error("cannot open the log file {path}: {source}")]
    OpenLog {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("logging is set up already")]
    AlreadyInitialised,
}
