//! What the node shows of itself on the metrics page, beside what plugins show.

mod families;
mod following;
mod process;

use std::sync::Arc;

use cluster::Cluster;
use metrics::{Family, Page};
use plugin_api::{MEMORY_HELD, MEMORY_LIMIT, Metrics};
use proxy::Shared;
use stdx::Clock;
use store_postgres::PostgresStore;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::health_checks::HealthChecks;
use crate::plugin_table::LateRecords;
use families::*;

/// The version of Kong that metrics name, because dashboards compare it.
const KONG_VERSION: &str = "3.9.1";

/// The parts of a node that have figures.
pub struct Parts {
    pub id: Uuid,
    pub data_plane: Arc<Shared>,
    pub cluster: Arc<Cluster>,
    pub health: Arc<HealthChecks>,
    pub records: Arc<LateRecords>,
    /// How many bytes the cache of records may take.
    pub records_limit: u64,
    /// If that is what the store is.
    pub postgres: Option<Arc<PostgresStore>>,
    pub clock: Arc<dyn Clock>,
}

/// Every family that a node can show, in the order of the names.
pub fn families() -> Vec<&'static Family> {
    let mut all: Vec<&Family> = FAMILIES.to_vec();
    all.extend(plugins::metrics());
    all.sort_by_key(|family| family.name);
    all
}

/// The reference of all metrics, as Markdown.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` of the Status API and of the Admin API, in Prometheus' text format, or in OpenMetrics for who accepts \
         it.\n\
         Names that begin with `kong_` are Kong's, with Kong's labels.\n\
         Counters and histograms of requests need the plugin `prometheus`, whose switches say which there are.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for family in families() {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            family.name,
            family.kind.name(),
            labels.join(", "),
            family.help.replace('|', "\\|"),
        ));
    }
    text
}

/// Has the page show all of it.
pub fn show(page: &Metrics, parts: Parts) {
    let started_at = parts.clock.now();
    let Parts {
        id,
        data_plane,
        cluster,
        health,
        records,
        records_limit,
        postgres,
        clock,
    } = parts;
    let id = id.to_string();
    let of_records = id.clone();
    let runtime = Handle::current();
    page.show("node", move |page| {
        write_node(page, &id);
        write_tasks(page, &runtime);
        write_traffic(page, &id, &data_plane);
        process::write(page, &id, started_at);
    });
    page.show("following", move |page| {
        let status = cluster.status();
        following::write(page, &status, cluster.answered_at(), clock.now());
    });
    page.show("records", move |page| {
        if let Some(figures) = records.figures() {
            page.sample(&RECORD_CACHE_ENTRIES, &[], figures.entries);
            page.sample(&RECORD_CACHE_HITS, &[], figures.hits);
            page.sample(&RECORD_CACHE_MISSES, &[], figures.misses);
            let labels = [&*of_records, "kong_db_cache", "http"];
            page.sample(&MEMORY_HELD, &labels, figures.bytes);
            page.sample(&MEMORY_LIMIT, &labels, records_limit);
        }
    });
    if let Some(store) = postgres {
        page.show("database", move |page| {
            let connections = store.connections();
            let used = connections.open.saturating_sub(connections.idle);
            page.sample(&DATABASE_CONNECTIONS, &["idle"], connections.idle);
            page.sample(&DATABASE_CONNECTIONS, &["used"], used);
            page.sample(&DATABASE_MOST_CONNECTIONS, &[], connections.most);
            page.sample(&DATABASE_WAITING, &[], connections.waiting);
        });
    }
    let wanted = page.clone();
    page.show("targets", move |page| {
        if wanted.shows_target_health() {
            health.write_metrics(page, &TARGET_HEALTH);
        }
        health.write_traffic(page, &TARGET_TRIES, &TARGET_WAITING);
    });
}

fn write_node(page: &mut Page, id: &str) {
    page.sample(&NODE_INFO, &[id, KONG_VERSION], 1u64);
    page.sample(
        &BUILD_INFO,
        &[env!("CARGO_PKG_VERSION"), KONG_VERSION],
        1u64,
    );
}

/// Compat: what nginx does by timers is done by tasks here.
fn write_tasks(page: &mut Page, runtime: &Handle) {
    let figures = runtime.metrics();
    page.sample(&TIMERS, &["pending"], figures.global_queue_depth());
    page.sample(&TIMERS, &["running"], figures.num_alive_tasks());
}

fn write_traffic(page: &mut Page, id: &str, data_plane: &Shared) {
    let stats = data_plane.stats();
    let traffic = stats.connections();
    for (state, value) in [
        ("accepted", traffic.accepted),
        ("active", traffic.active),
        ("handled", traffic.handled),
        ("reading", traffic.reading),
        ("total", traffic.requests),
        ("waiting", traffic.waiting),
        ("writing", traffic.writing),
    ] {
        page.sample(&CONNECTIONS, &[id, "http", state], value);
    }
    page.sample(&REQUESTS, &[id, "http"], traffic.requests);
    for (status, count) in stats.statuses() {
        page.sample(&RESPONSES, &[&status.to_string()], count);
    }
    let upstreams = stats.upstreams();
    page.sample(&UPSTREAM_OPENED, &[], upstreams.opened);
    page.sample(&UPSTREAM_REUSED, &[], upstreams.reused);
    page.sample(&UPSTREAM_IDLE, &[], upstreams.idle);
    let held = stats.held_bodies();
    page.sample(&HELD_BODIES, &[], held.bytes());
    page.sample(&HELD_BODIES_REFUSED, &[], held.refused());
    let snapshot = data_plane.snapshot();
    page.sample(&ROUTES, &[], snapshot.route_count());
    page.sample(&UPSTREAMS, &[], snapshot.upstreams().count());
}

#[cfg(test)]
mod tests;
