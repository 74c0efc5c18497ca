//! What the node logs, for plugins that send it elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

/// The most lines that wait for whoever follows the log. Compat: as many as Kong keeps.
const MOST: usize = 1000;

/// The node's log.
pub trait NodeLog: Send + Sync {
    /// What is logged from now on, for as long as somebody holds it.
    fn follow(&self) -> Arc<LogLines>;
}

/// Lines that somebody follows.
#[derive(Debug, Default)]
pub struct LogLines(Mutex<VecDeque<LogLine>>);

/// One line, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub time: SystemTime,
    /// As `log_level` calls it.
    pub level: &'static str,
    /// The module that speaks.
    pub source: &'static str,
    pub message: String,
    /// What it is about, by name; `request_id` among it if that is a request.
    pub fields: Vec<(&'static str, String)>,
}

impl LogLines {
    /// Adds a line, unless too many wait.
    pub fn push(&self, line: LogLine) {
        let mut lines = self.0.lock();
        if lines.len() < MOST {
            lines.push_back(line);
        }
    }

    /// The lines since the last call.
    pub fn take(&self) -> VecDeque<LogLine> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl LogLine {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| &**value)
    }
}
