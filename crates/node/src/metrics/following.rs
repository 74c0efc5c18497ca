//! How the node stands to its store.

use std::time::SystemTime;

use cluster::{Contact, Status};
use metrics::Page;

use super::families::{
    CONFIG_AGE, CONFIG_APPLIED, CONFIG_BEHIND, CONFIG_HELD, CONFIG_LAG, CONFIG_NEWEST,
    DATABASE_OUTAGE, DATASTORE_REACHABLE, REPLICA_VERSION, SYNC_COMPARISONS,
    SYNC_DATABASE_FAILURES, SYNC_DIVERGENCES, SYNC_HEALED, SYNC_PUBLISH_FAILURES, SYNC_RELOADS,
    SYNC_REPLICA_FAILURES,
};
use crate::membership::lag;

/// Writes everything that tells a node that falls behind from one that does not.
pub fn write(page: &mut Page, status: &Status, answered_at: SystemTime, now: SystemTime) {
    let seconds = |since: SystemTime| now.duration_since(since).unwrap_or_default().as_secs_f64();
    let is_up = status.contact == Contact::Up;
    let outage = if is_up { 0.0 } else { seconds(answered_at) };
    let behind = status.behind_since.map_or(0.0, seconds);
    let version = |version: Option<store::Version>| version.unwrap_or_default().0;
    page.sample(&DATASTORE_REACHABLE, &[], is_up);
    page.sample(&CONFIG_APPLIED, &[], version(status.applied));
    page.sample(&CONFIG_NEWEST, &[], version(status.newest));
    page.sample(&CONFIG_LAG, &[], lag(status));
    page.sample(&CONFIG_BEHIND, &[], behind);
    page.sample(&CONFIG_AGE, &[], behind.max(outage));
    page.sample(&DATABASE_OUTAGE, &[], outage);
    page.sample(&CONFIG_HELD, &[], status.held.is_some());
    if let Some(replica) = status.replica {
        page.sample(&REPLICA_VERSION, &[], replica.0);
    }
    let counters = status.counters;
    for (family, value) in [
        (&SYNC_COMPARISONS, counters.comparisons),
        (&SYNC_DIVERGENCES, counters.divergences),
        (&SYNC_HEALED, counters.healed),
        (&SYNC_RELOADS, counters.reloads),
        (&SYNC_DATABASE_FAILURES, counters.failures),
        (&SYNC_PUBLISH_FAILURES, counters.publish_failures),
        (&SYNC_REPLICA_FAILURES, counters.replica_failures),
    ] {
        page.sample(family, &[], value);
    }
}

#[cfg(test)]
mod tests;
