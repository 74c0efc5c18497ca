//! Health checks of a node: one prober for each upstream that wants probes, and what the APIs are told.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use admin::TargetHealth;
use admin::node::{AddressReport, BalancerReport, Health, TargetReport, WeightReport};
use async_trait::async_trait;
use balancer::Address;
use health::{AddressHealth, Group, Probe, Prober, Resolved, TargetName};
use metrics::{Family, Page};
use net::tls::{ClientTls, ClientTlsSettings};
use net::{Alpn, ResolveError};
use parking_lot::Mutex;
use proxy::Shared;
use proxy::settings::DataPlaneSettings;
use snapshot::{Snapshot, Upstream};
use stdx::Clock;
use tokio::task::{AbortHandle, JoinHandle};
use uuid::Uuid;

/// The probers, and what they and the traffic have found out.
pub struct HealthChecks {
    data_plane: Arc<Shared>,
    clock: Arc<dyn Clock>,
    probers: Mutex<HashMap<Uuid, Running>>,
    /// Follows the configuration.
    follower: Mutex<Option<JoinHandle<()>>>,
}

/// A prober with what it was made from.
struct Running {
    upstream: Arc<Upstream>,
    settings: Arc<DataPlaneSettings>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthChecks {
    /// Begins with what is served now, and follows it from then on.
    pub fn start(data_plane: Arc<Shared>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let checks = Arc::new(Self {
            data_plane: data_plane.clone(),
            clock,
            probers: Mutex::default(),
            follower: Mutex::default(),
        });
        checks.follow_configuration();
        let weak: Weak<Self> = Arc::downgrade(&checks);
        let follower = tokio::spawn(async move {
            loop {
                data_plane.changed().await;
                let Some(checks) = weak.upgrade() else {
                    return;
                };
                checks.follow_configuration();
            }
        });
        *checks.follower.lock() = Some(follower);
        checks
    }

    /// Ends all probes.
    pub fn stop(&self) {
        if let Some(follower) = self.follower.lock().take() {
            follower.abort();
        }
        self.probers.lock().clear();
    }

    /// Makes the probers those that the configuration asks for; those that it does not touch go on.
    fn follow_configuration(&self) {
        let published = self.data_plane.published();
        let snapshot = &published.snapshot;
        let mut probers = self.probers.lock();
        probers.retain(|id, _| snapshot.upstream_by_id(*id).is_some());
        let exists = |id| snapshot.upstream_by_id(id).is_some();
        self.data_plane.health().retain(exists);
        for upstream in snapshot.upstreams() {
            let is_same = probers.get(&upstream.id).is_some_and(|running| {
                Arc::ptr_eq(&running.upstream, upstream)
                    && Arc::ptr_eq(&running.settings, &published.settings)
            });
            if is_same {
                continue;
            }
            probers.remove(&upstream.id);
            let group = self.group(upstream);
            if !group.checks().active.is_on() {
                continue;
            }
            let probe = match self.probe(upstream, &group, snapshot, &published.settings) {
                Ok(probe) => probe,
                Err(reason) => {
                    tracing::error!(upstream = %upstream.name, "no active health checks: {reason}");
                    continue;
                }
            };
            let prober = Prober {
                group,
                probe: Arc::new(probe),
                targets: names(upstream),
                name: upstream.name.clone(),
                resolver: self.data_plane.resolver().clone(),
                clock: self.clock.clone(),
            };
            let running = Running {
                upstream: upstream.clone(),
                settings: published.settings.clone(),
                task: tokio::spawn(prober.run()).abort_handle(),
            };
            probers.insert(upstream.id, running);
        }
    }

    fn group(&self, upstream: &Upstream) -> Arc<Group> {
        let registry = self.data_plane.health();
        registry.group(upstream.id, &upstream.name, &upstream.healthchecks)
    }

    fn probe(
        &self,
        upstream: &Upstream,
        group: &Group,
        snapshot: &Snapshot,
        settings: &DataPlaneSettings,
    ) -> Result<Probe, String> {
        let active = &group.checks().active;
        let tls = if active.kind.is_tls() {
            let identity = match upstream.client_certificate {
                Some(id) => snapshot
                    .certificate(id)
                    .ok_or("its client certificate is missing")?
                    .client_identity()
                    .cloned(),
                None => settings.client_identity.clone(),
            };
            let trust = if active.verify_certificate {
                let trust = settings.trust.clone();
                Some(trust.ok_or("certificates are to be verified, and lua_ssl_trusted_certificate names no authority")?)
            } else {
                None
            };
            Some(self.compiled(ClientTlsSettings {
                trust,
                verify_depth: settings.upstream_tls_verify_depth,
                identity,
                alpn: (active.kind == health::Kind::Grpcs).then_some(Alpn::Http2),
                versions: Vec::new(),
            })?)
        } else {
            None
        };
        Ok(Probe {
            active: active.clone(),
            host_header: upstream.host_header.clone(),
            tls,
        })
    }

    fn compiled(&self, settings: ClientTlsSettings) -> Result<ClientTls, String> {
        let compiled = self.data_plane.client_tls().get(settings);
        compiled.map_err(|error| error.to_string())
    }

    /// Every target with its addresses.
    async fn resolved(
        &self,
        upstream: &Upstream,
    ) -> Vec<(TargetName, Result<Resolved, ResolveError>)> {
        let resolver = self.data_plane.resolver();
        let now = self.clock.monotonic();
        let mut targets = Vec::new();
        for target in names(upstream) {
            let resolved = health::resolve(resolver, &target, now).await;
            targets.push((target, resolved));
        }
        targets
    }

    async fn reports(&self, upstream: &Upstream) -> Vec<TargetReport> {
        let group = self.group(upstream);
        let targets = self.resolved(upstream).await;
        let reports = targets
            .into_iter()
            .map(|(target, resolved)| report(&group, &target, resolved.ok()));
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
        let snapshot = self.data_plane.snapshot();
        let Some(upstream) = snapshot.upstream_by_id(upstream) else {
            return Err("upstream not found".to_owned());
        };
        let group = self.group(upstream);
        if !group.is_on() {
            return Err(format!("no healthchecker found for {}", upstream.name));
        }
        let mut addresses = Vec::new();
        for (name, resolved) in self.resolved(upstream).await {
            if format!("{}:{}", name.host, name.port) == target {
                addresses.extend(
                    resolved
                        .map(|resolved| resolved.addresses)
                        .unwrap_or_default(),
                );
            }
        }
        if let Some(wanted) = address {
            addresses.retain(|own| is_named(own, wanted));
        }
        if addresses.is_empty() {
            return Err("target not found".to_owned());
        }
        for health in group.health(&addresses) {
            health.mark(healthy);
        }
        Ok(())
    }
}

fn is_named(address: &Address, wanted: &str) -> bool {
    format!("{}:{}", address.host, address.port) == wanted || *address.host == *wanted
}

fn names(upstream: &Upstream) -> Vec<TargetName> {
    let targets = upstream.targets.iter().map(|target| TargetName {
        host: (*target.host).into(),
        port: target.port,
        weight: target.weight,
    });
    targets.collect()
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
