//! What can go wrong with a server.

use std::io;

/// Why a server could not be started, asked or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{0} is not installed")]
    Missing(String),
    /// A program ended, or said no.
    #[error("{what}:\n{said}")]
    Failed {
        /// What was tried.
        what: String,
        /// The end of what the program printed.
        said: String,
    },
    /// Something that was waited for did not come.
    #[error("never: {0}")]
    Never(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Says what was tried when the system refused.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// A program that failed, with the end of what it said.
    pub fn failed(what: impl Into<String>, said: &str) -> Self {
        const SHOWN: usize = 4000;
        let start = said.len().saturating_sub(SHOWN);
        let start = (start..=said.len()).find(|at| said.is_char_boundary(*at));
        Self::Failed {
            what: what.into(),
            said: said[start.unwrap_or_default()..].to_owned(),
        }
    }
}
