//! What the drill found, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::Tally;

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: String,
    /// What came of it; the text says why it could not be tried.
    pub outcome: Result<Outcome, String>,
}

/// What a fault did to clients and to the cluster.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many requests may fail.
    pub may_fail: u64,
    pub tally: Tally,
    /// How long after the fault had ended all nodes served a change that was made then; `None` if they did not.
    pub converged: Option<Duration>,
    /// What else was seen.
    pub notes: Vec<String>,
    /// What should not have been seen.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether clients noticed no more than they may, and the cluster is as one again.
    pub fn is_good(&self) -> bool {
        let tally = &self.tally;
        tally.failed <= self.may_fail
            && tally.wrong == 0
            && tally.sent > 0
            && self.converged.is_some()
            && self.problems.is_empty()
    }
}

impl Row {
    /// Whether the fault was tried, and came to no more than it may.
    pub fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Outcome::is_good)
    }

    /// One line for whoever looks on.
    pub fn to_line(&self) -> String {
        match &self.outcome {
            Ok(outcome) => {
                let tally = &outcome.tally;
                let verdict = if outcome.is_good() { "good" } else { "BAD " };
                let mut line = format!(
                    "{verdict} {}: {} sent, {} failed, {} wrong, longest gap {}, slowest {}, converged {}",
                    self.fault,
                    tally.sent,
                    tally.failed,
                    tally.wrong,
                    shown(tally.longest_gap),
                    shown(tally.slowest),
                    outcome.converged.map_or_else(|| "never".to_owned(), shown)
                );
                for (reason, count) in &tally.reasons {
                    // A String takes any text that is written to it.
                    let _ = write!(line, "; {reason}: {count}");
                }
                for note in outcome.notes.iter().chain(&outcome.problems) {
                    let _ = write!(line, "; {note}");
                }
                line
            }
            Err(reason) => format!("---- {}: {reason}", self.fault),
        }
    }
}

/// The rows as a table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| fault | sent | failed | wrong | longest gap | slowest answer | converged after | notes |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in rows {
        let line = match &row.outcome {
            Ok(outcome) => {
                let tally = &outcome.tally;
                let reasons = tally.reasons.iter();
                let reasons = reasons.map(|(reason, count)| format!("{count} × {reason}"));
                let notes: Vec<_> = reasons
                    .chain(outcome.notes.iter().cloned())
                    .chain(outcome.problems.iter().cloned())
                    .collect();
                format!(
                    "| {} | {} | {} | {} | {} | {} | {} | {} |",
                    row.fault,
                    tally.sent,
                    tally.failed,
                    tally.wrong,
                    shown(tally.longest_gap),
                    shown(tally.slowest),
                    outcome.converged.map_or_else(|| "never".to_owned(), shown),
                    notes.join("; ")
                )
            }
            Err(reason) => format!("| {} | – | – | – | – | – | – | {reason} |", row.fault),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A time as people say it.
pub fn shown(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..=999 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
