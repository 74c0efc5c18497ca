//! What the APIs and the metrics page are told about targets.

use std::sync::Arc;

use admin::TargetHealth;
use admin::node::{AddressReport, BalancerReport, Health, TargetReport, WeightReport};
use async_trait::async_trait;
use health::{AddressHealth, Group, Resolved, Tally, TargetName};
use metrics::{Family, Page};
use snapshot::Upstream;
use uuid::Uuid;

use super::{HealthChecks, names};

impl HealthChecks {
    async fn reports(&self, upstream: &Upstream) -> Vec<TargetReport> {
        let group = self.group(upstream);
        let targets = self.resolved(upstream).await;
        let reports = targets
            .into_iter()
            .map(|(target, resolved)| report(&group, &target, resolved));
        reports.collect()
    }

    /// Writes the metric of targets; what is not resolved at the moment counts as an error of DNS.
    pub fn write_metrics(&self, page: &mut Page, family: &'static Family) {
        const STATES: [(&str, Option<Health>); 4] = [
            ("dns_error", None),
            ("healthchecks_off", Some(Health::Off)),
            ("healthy", Some(Health::Healthy)),
            ("unhealthy", Some(Health::Unhealthy)),
        ];
        let snapshot = self.data_plane.snapshot();
        let now = self.clock.monotonic();
        for upstream in snapshot.upstreams() {
            let group = self.group(upstream);
            for target in names(upstream) {
                let resolver = self.data_plane.resolver();
                let resolved = health::resolve_at_once(resolver, &target, now);
                let report = report(&group, &target, resolved.and_then(Result::ok));
                let mut addresses: Vec<_> = report
                    .addresses
                    .iter()
                    .map(|address| {
                        (
                            format!("{}:{}", address.ip, address.port),
                            Some(address.health),
                        )
                    })
                    .collect();
                if addresses.is_empty() {
                    addresses.push((String::new(), None));
                }
                for (address, health) in addresses {
                    for (state, of) in STATES {
                        let labels = [&*upstream.name, &*report.target, &*address, state, "http"];
                        page.sample(family, &labels, of == health);
                    }
                }
            }
        }
    }

    /// Writes what is tried at each address, and what waits.
    pub fn write_traffic(&self, page: &mut Page, tries: &'static Family, waiting: &'static Family) {
        let snapshot = self.data_plane.snapshot();
        for (upstream, group) in self.data_plane.health().groups() {
            let Some(upstream) = snapshot.upstream_by_id(upstream) else {
                continue;
            };
            if upstream.options.max_connections.is_some() {
                page.sample(waiting, &[&*upstream.name], group.queue().len());
            }
            let mut known = group.known();
            known.sort_by(|(a, _), (b, _)| a.cmp(b));
            for ((target, host, port), health) in known {
                let address = format!("{host}:{port}");
                for (outcome, count) in Tally::COUNTERS.into_iter().zip(health.traffic()) {
                    if count > 0 {
                        page.sample(
                            tries,
                            &[&*upstream.name, &*target, &*address, outcome],
                            count,
                        );
                    }
                }
            }
        }
    }
}

#[async_trait]
impl TargetHealth for HealthChecks {
    async fn targets(&self, upstream: Uuid) -> Option<Vec<TargetReport>> {
        let snapshot = self.data_plane.snapshot();
        let upstream = snapshot.upstream_by_id(upstream)?;
        Some(self.reports(upstream).await)
    }

    async fn balancer(&self, upstream: Uuid) -> Option<BalancerReport> {
        let snapshot = self.data_plane.snapshot();
        let upstream = snapshot.upstream_by_id(upstream)?;
        let group = self.group(upstream);
        let targets = self.reports(upstream).await;
        let mut weight = WeightReport::default();
        for target in &targets {
            weight.total += target.weight.total;
            weight.available += target.weight.available;
            weight.unavailable += target.weight.unavailable;
        }
        let healthy = is_healthy(weight, group.checks().threshold);
        Some(BalancerReport {
            health: match (group.is_on(), healthy) {
                (false, _) => Health::Off,
                (true, true) => Health::Healthy,
                (true, false) => Health::Unhealthy,
            },
            healthy,
            targets,
            weight,
        })
    }

    async fn mark(
        &self,
        upstream: Uuid,
        target: &str,
        address: Option<&str>,
        healthy: bool,
    ) -> Result<(), String> {
        self.mark_by_hand(upstream, target, address, healthy).await
    }
}

/// A target without addresses could not be resolved.
fn report(group: &Group, target: &TargetName, resolved: Option<Resolved>) -> TargetReport {
    let (addresses, dns) = match resolved {
        Some(resolved) => (resolved.addresses, resolved.record.name()),
        None => (Vec::new(), ""),
    };
    let known = if group.is_on() {
        group.health(&addresses)
    } else {
        Vec::new()
    };
    let mut weight = WeightReport::default();
    let mut reports = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.iter().enumerate() {
        let known = known.get(index).map(Arc::as_ref);
        let is_out = known.is_some_and(|known| !known.is_healthy());
        let own = u64::from(address.weight);
        weight.total += own;
        if is_out {
            weight.unavailable += own;
        } else {
            weight.available += own;
        }
        reports.push(AddressReport {
            ip: address.host.to_string(),
            port: address.port,
            weight: address.weight,
            health: match (known, is_out) {
                // Compat: without weight nothing is checked.
                (None, _) => Health::Off,
                _ if target.weight == 0 => Health::Off,
                (_, true) => Health::Unhealthy,
                (_, false) => Health::Healthy,
            },
            reason: known
                .and_then(AddressHealth::reason)
                .map(|reason| (reason.text.into(), reason.since)),
        });
    }
    TargetReport {
        target: format!("{}:{}", target.host, target.port),
        host: target.host.to_string(),
        port: target.port,
        dns: dns.to_owned(),
        node_weight: target.weight,
        weight,
        addresses: reports,
    }
}

/// Whether more than `threshold` percent of a weight can be used.
#[expect(
    clippy::cast_precision_loss,
    reason = "sums of 16-bit weights are far below 2^52"
)]
fn is_healthy(weight: WeightReport, threshold: f64) -> bool {
    weight.total > 0 && weight.available as f64 * 100.0 / weight.total as f64 > threshold
}
