//! What became of requests that are counted, for the metrics page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use plugin_api::{Family, Page, Services};

use super::synced::SyncedCounters;

/// Every family of the plugins that limit.
pub const METRICS: &[&Family] = &[&REQUESTS, &SYNC_AGE];

static REQUESTS: Family = Family::counter(
    "silverback_ratelimit_requests_total",
    &["plugin", "policy", "outcome"],
    "Requests of rate-limiting and response-ratelimiting by where they are counted (local, cluster, redis, or redis_synced with a sync_rate) and what became of them: passed, limited, or, without an answer of the counters, unlimited (let through) and failed (refused)",
);

static SYNC_AGE: Family = Family::gauge(
    "silverback_ratelimit_sync_age_seconds",
    &[],
    "Seconds since counters with a sync_rate were last exchanged with Redis, of the server where that is longest ago",
);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Passed,
    Limited,
    /// It passed although the counters were out of reach.
    Unlimited,
    /// It was refused because the counters were out of reach.
    Failed,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Passed, Self::Limited, Self::Unlimited, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Limited => "limited",
            Self::Unlimited => "unlimited",
            Self::Failed => "failed",
        }
    }
}

/// The requests of a plugin whose counters are in the same kind of place.
#[derive(Debug, Default)]
pub struct Figures([AtomicU64; Fate::ALL.len()]);

/// Those of the whole node.
#[derive(Default)]
struct All {
    requests: Mutex<BTreeMap<(&'static str, &'static str), Arc<Figures>>>,
    synced: Mutex<Vec<Weak<SyncedCounters>>>,
}

impl Figures {
    /// Those of a plugin and a policy; from now on the metrics page shows them.
    pub fn of(services: &Services, plugin: &'static str, policy: &'static str) -> Arc<Self> {
        let all = All::of(services);
        let mut requests = all.requests.lock();
        requests.entry((plugin, policy)).or_default().clone()
    }

    pub fn count(&self, fate: Fate) {
        if let Some(count) = self.0.get(fate as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// From now on the metrics page shows how old these counters are.
pub fn show_age(services: &Services, counters: &Arc<SyncedCounters>) {
    let all = All::of(services);
    let counters = Arc::downgrade(counters);
    let mut synced = all.synced.lock();
    synced.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&counters));
    synced.push(counters);
}

impl All {
    fn of(services: &Services) -> Arc<Self> {
        let all = services.shared.get("limits", Self::default);
        let (shown, clock) = (all.clone(), services.clock.clone());
        services.metrics.show("limits", move |page| {
            shown.write(page, clock.unix_seconds());
        });
        all
    }

    fn write(&self, page: &mut Page, now: i64) {
        for ((plugin, policy), figures) in &*self.requests.lock() {
            for (fate, count) in Fate::ALL.iter().zip(&figures.0) {
                let labels = [*plugin, *policy, fate.name()];
                page.sample(&REQUESTS, &labels, count.load(Ordering::Relaxed));
            }
        }
        let synced: Vec<_> = self
            .synced
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let ages = synced.iter().filter_map(|counters| counters.age(now));
        if let Some(oldest) = ages.max() {
            page.sample(&SYNC_AGE, &[], oldest);
        }
    }
}
