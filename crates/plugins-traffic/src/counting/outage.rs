//! What a handler does while its counters are out of reach.

use std::sync::atomic::{AtomicI64, Ordering};

use plugin_api::Failure;

use super::Fate;

/// How many seconds pass between two lines in the log.
const QUIET: i64 = 10;

/// Decides for requests whose counters are out of reach, and tells the log now and then.
#[derive(Debug)]
pub struct Outage {
    plugin: &'static str,
    is_tolerated: bool,
    /// When the log was told last, in seconds since the Unix epoch.
    told: AtomicI64,
}

impl Outage {
    /// For a plugin that lets requests pass unlimited, or refuses them.
    pub fn new(plugin: &'static str, is_tolerated: bool) -> Self {
        Self {
            plugin,
            is_tolerated,
            told: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether requests pass.
    pub fn is_tolerated(&self) -> bool {
        self.is_tolerated
    }

    /// What becomes of requests.
    pub fn fate(&self) -> Fate {
        match self.is_tolerated {
            true => Fate::Unlimited,
            false => Fate::Failed,
        }
    }

    /// Lets a request pass, or says why not.
    ///
    /// # Errors
    /// If requests are refused.
    pub fn decide(&self, error: &dyn std::fmt::Display, now: i64) -> Result<(), Failure> {
        if !self.is_tolerated {
            return Err(Failure::new(format!("no counters: {error}")));
        }
        let told = self.told.load(Ordering::Relaxed);
        if now.saturating_sub(told) >= QUIET
            && self
                .told
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(plugin = self.plugin, %error, "requests pass unlimited");
        }
        Ok(())
    }
}
