//! The node's settings: each declared once, read from a file and the environment, checked, and given out typed.
//!
//! `table` holds the declarations, by topic; everything else walks them: [`load`] reads and checks values,
//! [`Settings`] is what the rest of the program uses, `Settings::configuration_json` is what the Admin API shows, and
//! [`reference_markdown`] is the reference page.
//! Invariant: a name that users can set appears in exactly one declaration.

mod check;
mod configuration;
mod declaration;
mod file;
mod headers;
mod listen;
mod load;
mod pem;
mod reference;
mod reference_page;
mod settings;
mod table;
mod value;

pub use declaration::{Declaration, Effect, Group, Kind};
pub use headers::ResponseHeaders;
pub use listen::{Address, Keepalive, Listener};
pub use load::{Loaded, Sources, Warning, load};
pub use pem::PemSource;
pub use reference::{Reference, environment_value};
pub use reference_page::reference_markdown;
pub use settings::{
    Dns, ErrorTemplates, KeyPair, Limits, Listeners, Logs, Postgres, RealIp, RecordType, Settings,
    StoreChoice, Tls, UpstreamKeepalive,
};
pub use table::{find, groups};
pub use value::Value;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that was named, or found, cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    ReadFile {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    /// A line that is neither a comment nor `name = value`.
    #[error("{path}:{line}: expected `name = value`, found {text:?}")]
    Syntax {
        path: std::path::PathBuf,
        line: usize,
        text: String,
    },
    /// Every value that cannot be used, all at once.
    #[error("{}", problems_text(.0))]
    Invalid(Vec<Problem>),
}

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The setting at fault.
    pub name: String,
    /// What is wrong and what would be right, with the name in it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            message: message.into(),
        }
    }
}

fn problems_text(problems: &[Problem]) -> String {
    let messages: Vec<&str> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    messages.join("\n")
}

#[cfg(test)]
mod tests;
