//! How the node stands to its store, as metrics.

use std::time::SystemTime;

use cluster::{Contact, Status};
use observe::metrics::{Kind, Page};

use crate::info::float;
use crate::membership::lag;

/// Writes everything that tells a node that falls behind from one that does not.
pub fn write(page: &mut Page, status: &Status, answered_at: SystemTime, now: SystemTime) {
    let seconds = |since: SystemTime| now.duration_since(since).unwrap_or_default().as_secs_f64();
    let stale = match &status.contact {
        Contact::Up => 0.0,
        Contact::Never | Contact::Down { .. } => seconds(answered_at),
    };
    let counters = status.counters;
    let applied = float(status.applied.unwrap_or_default().0);
    let newest = float(status.newest.unwrap_or_default().0);
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.family(name, Kind::Gauge, help).sample(&[], value);
    };
    gauge(
        "silverback_config_version_applied",
        "Version of the configuration that the proxy serves",
        applied,
    );
    gauge(
        "silverback_config_version_newest",
        "Newest version of the configuration that the node knows of",
        newest,
    );
    gauge(
        "silverback_config_lag_versions",
        "Versions that the proxy is behind the newest one",
        float(lag(status)),
    );
    gauge(
        "silverback_config_behind_seconds",
        "Seconds since the proxy is behind, 0 if it is not",
        status.behind_since.map_or(0.0, seconds),
    );
    gauge(
        "silverback_database_outage_seconds",
        "Seconds since the database answered last, 0 while it answers",
        stale,
    );
    gauge(
        "silverback_config_held",
        "Whether the content of the database is not believed and the configuration before is served, 0 or 1",
        f64::from(u8::from(status.held.is_some())),
    );
    if let Some(replica) = status.replica {
        gauge(
            "silverback_replica_version",
            "Version of the configuration in the node's copy",
            float(replica.0),
        );
    }
    let mut counter = |name: &str, help: &str, value: u64| {
        page.family(name, Kind::Counter, help)
            .sample(&[], float(value));
    };
    counter(
        "silverback_sync_comparisons_total",
        "Comparisons of the node's copy with the database",
        counters.comparisons,
    );
    counter(
        "silverback_sync_divergences_total",
        "Collections of the node's copy that differed from the database's",
        counters.divergences,
    );
    counter(
        "silverback_sync_healed_records_total",
        "Records that differed and were read again",
        counters.healed,
    );
    counter(
        "silverback_sync_reloads_total",
        "Times that the whole configuration was read again",
        counters.reloads,
    );
    counter(
        "silverback_sync_database_failures_total",
        "Calls to the database that failed",
        counters.failures,
    );
    counter(
        "silverback_sync_publish_failures_total",
        "Configurations that the proxy did not take",
        counters.publish_failures,
    );
    counter(
        "silverback_sync_replica_failures_total",
        "Writes to the node's copy that failed",
        counters.replica_failures,
    );
}

#[cfg(test)]
mod tests;
