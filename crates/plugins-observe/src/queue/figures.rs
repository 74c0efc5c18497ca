//! What became of the entries of each plugin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use plugin_api::{Family, Page, Services};

static WAITING: Family = Family::gauge(
    "silverback_log_queue_entries",
    &["plugin"],
    "Log entries that wait to be sent",
);

static WAITING_BYTES: Family = Family::gauge(
    "silverback_log_queue_bytes",
    &["plugin"],
    "Bytes of the log entries that wait to be sent",
);

static QUEUED: Family = Family::counter(
    "silverback_log_entries_queued_total",
    &["plugin"],
    "Log entries that were handed over to be sent",
);

static SENT: Family = Family::counter(
    "silverback_log_entries_sent_total",
    &["plugin"],
    "Log entries that were taken by whoever receives them",
);

static DROPPED: Family = Family::counter(
    "silverback_log_entries_dropped_total",
    &["plugin", "reason"],
    "Log entries that were lost because their queue was full, because they were too long for it or for whoever receives them, or because nobody took them",
);

static FAILED: Family = Family::counter(
    "silverback_log_batches_failed_total",
    &["plugin"],
    "Attempts to send log entries that failed",
);

/// Every family of the queues.
pub const METRICS: &[&Family] = &[&WAITING, &WAITING_BYTES, &QUEUED, &SENT, &DROPPED, &FAILED];

/// Why entries were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    Full,
    TooLong,
    NotTaken,
    /// One by itself is too large for the collector.
    Refused,
}

impl Dropped {
    const ALL: [Self; 4] = [Self::Full, Self::TooLong, Self::NotTaken, Self::Refused];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TooLong => "too_long",
            Self::NotTaken => "not_taken",
            Self::Refused => "refused",
        }
    }
}

/// The figures of all queues of a plugin.
#[derive(Debug, Default)]
pub struct Figures {
    entered: AtomicU64,
    left: AtomicU64,
    bytes: AtomicU64,
    sent: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct ByPlugin(Mutex<BTreeMap<&'static str, Arc<Figures>>>);

impl Figures {
    /// Those of a plugin; from now on the metrics page shows them.
    pub fn of(services: &Services, plugin: &'static str) -> Arc<Self> {
        let all = services.shared.get("log-queues", ByPlugin::default);
        let figures = all.0.lock().entry(plugin).or_default().clone();
        services.metrics.show("log-queues", move |page| {
            for (plugin, figures) in &*all.0.lock() {
                figures.write(plugin, page);
            }
        });
        figures
    }

    pub fn entered(&self, bytes: usize) {
        add(&self.entered, 1);
        add(&self.bytes, bytes);
    }

    pub fn left(&self, count: usize, bytes: usize) {
        add(&self.left, count);
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub fn sent(&self, count: usize) {
        add(&self.sent, count);
    }

    pub fn dropped(&self, why: Dropped, count: usize) {
        if let Some(dropped) = self.dropped.get(why as usize) {
            add(dropped, count);
        }
    }

    pub fn failed(&self) {
        add(&self.failed, 1);
    }

    fn write(&self, plugin: &str, page: &mut Page) {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        // In this order, so that no more have left than have entered.
        let (left, entered) = (get(&self.left), get(&self.entered));
        let too_long = self.dropped.get(Dropped::TooLong as usize).map_or(0, get);
        page.sample(&WAITING, &[plugin], entered.saturating_sub(left));
        page.sample(&WAITING_BYTES, &[plugin], get(&self.bytes));
        page.sample(&QUEUED, &[plugin], entered + too_long);
        page.sample(&SENT, &[plugin], get(&self.sent));
        for (why, dropped) in Dropped::ALL.iter().zip(&self.dropped) {
            page.sample(&DROPPED, &[plugin, why.name()], get(dropped));
        }
        page.sample(&FAILED, &[plugin], get(&self.failed));
    }
}

fn add(number: &AtomicU64, amount: usize) {
    number.fetch_add(amount as u64, Ordering::Relaxed);
}
