//! The word by which nodes set each other's log level.
//!
//! Compat: channel, fields and numbers are those of Kong's nodes (nginx counts levels from 1, the gravest, to 8).

use std::time::Duration;

use observe::logging::Level;
use serde_json::{Value, json};

/// Where it is told.
pub const CHANNEL: &str = "log_level";

const LEVELS: [Level; 8] = [
    Level::Emerg,
    Level::Alert,
    Level::Crit,
    Level::Error,
    Level::Warn,
    Level::Notice,
    Level::Info,
    Level::Debug,
];

/// The word that sets a level for a while.
pub fn text(level: Level, timeout: Duration) -> String {
    let number = LEVELS.iter().position(|known| *known == level);
    let number = number.map_or(0, |index| index + 1);
    json!({ "log_level": number, "timeout": timeout.as_secs() }).to_string()
}

/// What a word sets, and for how long; `None` if nobody can tell.
pub fn parse(text: &str) -> Option<(Level, Duration)> {
    let word: Value = serde_json::from_str(text).ok()?;
    let index = word.get("log_level")?.as_u64()?.checked_sub(1)?;
    let level = LEVELS.get(usize::try_from(index).ok()?)?;
    let seconds = word.get("timeout")?.as_f64()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok()?;
    Some((*level, timeout))
}

#[cfg(test)]
mod tests;
