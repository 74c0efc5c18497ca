//! The metrics of the cache.

use std::sync::Arc;

use plugin_api::{Family, Services};

use super::cache::Caches;

/// Every family that the plugin shows.
pub const METRICS: &[&Family] = &[&ENTRIES, &BYTES, &LOOKUPS];

static ENTRIES: Family = Family::gauge(
    "silverback_proxy_cache_entries",
    &["cache"],
    "Keys under which answers are kept, by the name of the cache",
);

static BYTES: Family = Family::gauge(
    "silverback_proxy_cache_bytes",
    &["cache"],
    "Bytes that the kept answers take, about",
);

static LOOKUPS: Family = Family::counter(
    "silverback_proxy_cache_lookups_total",
    &["cache", "result"],
    "Requests that a cache could answer, by whether it did: hit, miss, or refresh for an answer that was too old",
);

/// Shows the figures of all caches of the node.
pub(super) fn show(services: &Services, caches: &Arc<Caches>) {
    let caches = Arc::downgrade(caches);
    services.metrics.show("proxy-cache", move |page| {
        let Some(caches) = caches.upgrade() else {
            return;
        };
        let all = caches.all();
        for (name, cache) in &all {
            page.sample(&ENTRIES, &[name], cache.entries());
        }
        for (name, cache) in &all {
            page.sample(&BYTES, &[name], cache.size());
        }
        for (name, cache) in &all {
            for (result, count) in cache.lookups() {
                page.sample(&LOOKUPS, &[name, result], count);
            }
        }
    });
}
