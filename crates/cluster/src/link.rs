//! What the parts of a node agree on about the shared store: whether it answers, and who should look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stdx::Clock;
use tokio::sync::Notify;

use crate::status::Contact;

/// The connection to the shared store, as far as it is known.
#[derive(Debug)]
pub(crate) struct Link {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Whether the replica is written as changes come.
    is_copy_current: AtomicBool,
    prod: Notify,
}

#[derive(Debug)]
struct Known {
    contact: Contact,
    /// Whether it failed when it was asked last.
    is_failing: bool,
    /// When the store answered last; before the first answer, when this process started.
    answered_at: SystemTime,
    /// When the last outage began and ended.
    outage: Option<(SystemTime, SystemTime)>,
}

impl Link {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let answered_at = clock.now();
        Self {
            clock,
            known: Mutex::new(Known {
                contact: Contact::Never,
                is_failing: false,
                answered_at,
                outage: None,
            }),
            is_copy_current: AtomicBool::new(false),
            prod: Notify::new(),
        }
    }

    /// The store has answered.
    pub(crate) fn answered(&self) {
        let now = self.clock.now();
        let mut known = self.known.lock();
        if let Contact::Down { since, .. } = known.contact {
            known.outage = Some((since, now));
        }
        known.contact = Contact::Up;
        known.is_failing = false;
        known.answered_at = now;
    }

    /// The store has failed.
    pub(crate) fn failed(&self, reason: &str) {
        let mut known = self.known.lock();
        known.is_failing = true;
        known.contact = match &known.contact {
            Contact::Never => Contact::Never,
            Contact::Up | Contact::Down { .. } => Contact::Down {
                since: known.answered_at,
                reason: reason.to_owned(),
            },
        };
    }

    pub(crate) fn contact(&self) -> Contact {
        self.known.lock().contact.clone()
    }

    /// Whether the store is known to be out of reach, so that asking it is a waste of time.
    pub(crate) fn is_down(&self) -> bool {
        self.known.lock().is_failing
    }

    /// When the store answered last, or this process started.
    pub(crate) fn answered_at(&self) -> SystemTime {
        self.known.lock().answered_at
    }

    /// How much older than usual the report of a node that lives may be, for nobody could report during an outage;
    /// `settling` is how long after its end all of them have reported again.
    pub(crate) fn leniency(&self, settling: Duration) -> Duration {
        let Some((began, ended)) = self.known.lock().outage else {
            return Duration::ZERO;
        };
        let now = self.clock.now();
        let since = |moment| now.duration_since(moment).unwrap_or_default();
        match since(ended) < settling {
            true => since(began),
            false => Duration::ZERO,
        }
    }

    /// Tells whether the replica has everything that is served.
    pub(crate) fn set_copy_current(&self, is_current: bool) {
        self.is_copy_current.store(is_current, Ordering::Release);
    }

    /// Whether the replica has everything that is served.
    pub(crate) fn is_copy_current(&self) -> bool {
        self.is_copy_current.load(Ordering::Acquire)
    }

    /// Somebody has reason to think that the store should be looked at now.
    pub(crate) fn prod(&self) {
        self.prod.notify_one();
    }

    /// Resolves when somebody has prodded since the last time.
    pub(crate) async fn prodded(&self) {
        self.prod.notified().await;
    }
}

#[cfg(test)]
mod tests;
