//! What the plugin has counted on a node, for as long as the node runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::{MEMORY_HELD, MEMORY_LIMIT, Page, Services};

use super::count::Sum;
use super::families::{
    BANDWIDTH, ERRORS, GATEWAY_BOUNDS, GATEWAY_LATENCY, OVERFLOWS, REQUEST_LATENCY, REQUESTS,
    SERIES, UPSTREAM_BOUNDS, UPSTREAM_LATENCY,
};
use super::models::Models;
use super::series::{LIMIT, Labels, OVERFLOW, OfRoute, Series, Status};

/// Shared by all handlers of a node.
#[derive(Debug)]
pub struct State {
    node_id: String,
    pub series: Series,
    pub models: Models,
    /// Each handler holds one: what was counted is shown as long as the plugin is configured.
    configured: Arc<()>,
}

/// Keeps the page showing what the plugin has counted.
#[derive(Debug)]
pub struct Configured {
    _held: Arc<()>,
}

impl State {
    /// The state of the node; from now on its page shows it.
    pub fn of(services: &Services) -> Arc<Self> {
        let state = services.shared.get("prometheus", || Self {
            node_id: services.node.id.to_string(),
            series: Series::new(LIMIT),
            models: Models::default(),
            configured: Arc::default(),
        });
        let shown = state.clone();
        services.metrics.show("prometheus", move |page| {
            if Arc::strong_count(&shown.configured) > 1 {
                shown.write(page);
            }
        });
        state
    }

    /// Held by whoever wants the page to show what is counted.
    pub fn configured(&self) -> Configured {
        Configured {
            _held: self.configured.clone(),
        }
    }

    fn write(&self, page: &mut Page) {
        self.write_requests(page);
        self.write_times(page);
        self.models.write(page);
        let (count, bytes, limit) = self.series.size();
        let overflows = self.series.overflows();
        page.sample(&ERRORS, &[], overflows);
        page.sample(&OVERFLOWS, &[], overflows);
        page.sample(&SERIES, &[], count);
        let labels = [&*self.node_id, "prometheus_metrics", "http"];
        page.sample(&MEMORY_HELD, &labels, bytes);
        page.sample(&MEMORY_LIMIT, &labels, limit);
    }

    fn write_requests(&self, page: &mut Page) {
        #[derive(Default)]
        struct Total {
            ingress: u64,
            egress: u64,
            statuses: BTreeMap<Status, u64>,
        }
        let mut totals: BTreeMap<Arc<Labels>, Total> = BTreeMap::new();
        for shard in self.series.shards() {
            for (labels, set) in &*shard.sets.lock() {
                let total = totals.entry(labels.clone()).or_default();
                total.ingress += set.ingress.get();
                total.egress += set.egress.get();
                for (status, count) in &*set.statuses.lock() {
                    *total.statuses.entry(*status).or_default() += count.get();
                }
            }
        }
        for (labels, total) in &totals {
            let OfRoute {
                service,
                route,
                workspace,
            } = &*labels.of_route;
            let consumer = &*labels.consumer;
            for (direction, bytes) in [("egress", total.egress), ("ingress", total.ingress)] {
                if bytes > 0 {
                    let labels = [service, route, direction, workspace, consumer];
                    page.sample(&BANDWIDTH, &labels, bytes);
                }
            }
            for (status, count) in &total.statuses {
                let code = match status.code {
                    0 => OVERFLOW.to_owned(),
                    code => code.to_string(),
                };
                let source = if status.of_service { "service" } else { "kong" };
                let labels = [service, route, &*code, source, workspace, consumer];
                page.sample(&REQUESTS, &labels, *count);
            }
        }
    }

    fn write_times(&self, page: &mut Page) {
        let mut totals: BTreeMap<Arc<OfRoute>, [Sum; 3]> = BTreeMap::new();
        for shard in self.series.shards() {
            for (labels, times) in &*shard.times.lock() {
                let [gateway, upstream, request] = totals.entry(labels.clone()).or_default();
                gateway.add(&times.gateway);
                upstream.add(&times.upstream);
                request.add(&times.request);
            }
        }
        for (labels, [gateway, upstream, request]) in &totals {
            let labels = [&*labels.service, &*labels.route, &*labels.workspace];
            for (family, bounds, sum) in [
                (&GATEWAY_LATENCY, &GATEWAY_BOUNDS[..], gateway),
                (&UPSTREAM_LATENCY, &UPSTREAM_BOUNDS, upstream),
                (&REQUEST_LATENCY, &UPSTREAM_BOUNDS, request),
            ] {
                if !sum.is_empty() {
                    page.histogram(family, &labels, bounds, &sum.counts, sum.millis());
                }
            }
        }
    }
}
