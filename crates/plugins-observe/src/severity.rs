//! How grave an entry is, for the plugins that write to a system log.

use plugin_api::{Configured, Failure};
use serde::Deserialize;

/// The severities of RFC 5424.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Severity {
    /// The number that stands for it.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Which severity an answer has, and which ones are told.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Severities {
    log_level: Severity,
    successful_severity: Severity,
    client_errors_severity: Severity,
    server_errors_severity: Severity,
}

impl Severities {
    /// Those of a record.
    ///
    /// # Errors
    /// When the configuration is not what its declaration says.
    pub fn read(record: &Configured<'_>) -> Result<Self, Failure> {
        record.read()
    }

    /// The severity of an answer with this status; `None` if such answers are not told.
    pub fn of(&self, status: u16) -> Option<Severity> {
        let severity = match status {
            500.. => self.server_errors_severity,
            400.. => self.client_errors_severity,
            _ => self.successful_severity,
        };
        (severity <= self.log_level).then_some(severity)
    }
}
