//! Whoever else wants to see what is logged.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::Event;
use tracing::field::{Field, Visit};

use super::Level;

/// Hears of each line. It must not log, and must not block.
pub trait Follower: Send {
    /// False if it has seen enough: there are no more lines for it then.
    fn line(&self, line: &Line) -> bool;
}

/// A line of the log in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub time: SystemTime,
    pub level: Level,
    /// The module that speaks.
    pub source: &'static str,
    pub message: String,
    pub fields: Vec<(&'static str, String)>,
}

/// All who follow a log.
///
/// Perf: a log that nobody follows looks at one flag.
#[derive(Default)]
pub(super) struct Followers {
    any: AtomicBool,
    all: Mutex<Vec<Box<dyn Follower>>>,
}

impl Followers {
    pub fn add(&self, follower: Box<dyn Follower>) {
        self.all.lock().push(follower);
        self.any.store(true, Ordering::Release);
    }

    pub fn tell(&self, event: &Event<'_>, level: Level, time: SystemTime) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut line = Line {
            time,
            level,
            source: event.metadata().target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        self.all.lock().retain(|follower| follower.line(&line));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }
}

impl Line {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}
