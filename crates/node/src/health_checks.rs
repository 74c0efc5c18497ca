//! Health checks of a node: one prober for each upstream that wants probes, what the APIs are told, and marks by hand.

mod marks;
mod reports;
mod thread;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cluster::Words;
use health::{Group, Probe, Prober, Resolved, TargetName};
use net::Alpn;
use net::tls::{ClientTls, ClientTlsSettings};
use parking_lot::Mutex;
use proxy::Shared;
use proxy::settings::DataPlaneSettings;
use snapshot::{Snapshot, Upstream};
use stdx::Clock;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use marks::Marks;
use thread::ProbeThread;

use crate::Error;

/// How long an answer of an API waits for names that are not at hand.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often addresses that names do not stand for any more are forgotten.
const FORGETTING: Duration = Duration::from_secs(60);

/// The probers, and what they and the traffic have found out.
pub struct HealthChecks {
    data_plane: Arc<Shared>,
    clock: Arc<dyn Clock>,
    probers: Mutex<HashMap<Uuid, Running>>,
    probe_thread: ProbeThread,
    marks: Marks,
    /// Follow the configuration, the names and the other nodes.
    tasks: Mutex<Vec<JoinHandle<()>>>,
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
    /// Begins with what is served now, and follows it from then on. Marks go to the other nodes as `words`.
    pub fn start(
        data_plane: Arc<Shared>,
        words: Arc<Words>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let probe_thread = ProbeThread::start().map_err(|source| Error::System {
            what: "cannot start the thread of the health checks",
            source,
        })?;
        let checks = Arc::new(Self {
            data_plane: data_plane.clone(),
            clock,
            probers: Mutex::default(),
            probe_thread,
            marks: Marks::new(words),
            tasks: Mutex::default(),
        });
        checks.follow_configuration();
        let weak = Arc::downgrade(&checks);
        let follower = tokio::spawn(async move {
            loop {
                data_plane.changed().await;
                let Some(checks) = weak.upgrade() else {
                    return;
                };
                checks.follow_configuration();
            }
        });
        let forgetting = tokio::spawn(forget_from_time_to_time(Arc::downgrade(&checks)));
        let mut tasks = marks::exchange(&checks);
        tasks.extend([follower, forgetting]);
        *checks.tasks.lock() = tasks;
        Ok(checks)
    }

    /// Ends all probes.
    pub fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
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
                task: self
                    .probe_thread
                    .runtime()
                    .spawn(prober.run())
                    .abort_handle(),
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

    /// Every target with what its name stands for; none if that is not known, or not in time.
    async fn resolved(&self, upstream: &Upstream) -> Vec<(TargetName, Option<Resolved>)> {
        let resolver = self.data_plane.resolver();
        let (now, until) = (self.clock.monotonic(), Instant::now() + PATIENCE);
        let at_once = names(upstream).into_iter().map(|target| {
            let resolved = health::resolve_at_once(resolver, &target, now);
            (target, resolved)
        });
        let at_once: Vec<_> = at_once.collect();
        let mut targets = Vec::with_capacity(at_once.len());
        for (target, resolved) in at_once {
            let resolved = match resolved {
                Some(resolved) => resolved.ok(),
                None => {
                    let resolved = timeout_at(until, health::resolve(resolver, &target, now)).await;
                    resolved.ok().and_then(Result::ok)
                }
            };
            targets.push((target, resolved));
        }
        targets
    }

    /// Forgets addresses that belong to no target any more.
    fn forget(&self) {
        let snapshot = self.data_plane.snapshot();
        let now = self.clock.monotonic();
        for upstream in snapshot.upstreams() {
            let resolver = self.data_plane.resolver();
            let resolved = names(upstream)
                .into_iter()
                .map(|target| health::resolve_at_once(resolver, &target, now)?.ok());
            let resolved: Option<Vec<Resolved>> = resolved.collect();
            // Who does not know all addresses does not know which ones are gone.
            if let Some(resolved) = resolved {
                let addresses = resolved.into_iter().flat_map(|one| one.addresses);
                self.group(upstream).retain(&addresses.collect::<Vec<_>>());
            }
        }
    }
}

async fn forget_from_time_to_time(checks: Weak<HealthChecks>) {
    loop {
        tokio::time::sleep(FORGETTING).await;
        let Some(checks) = checks.upgrade() else {
            return;
        };
        checks.forget();
    }
}

fn names(upstream: &Upstream) -> Vec<TargetName> {
    let targets = upstream.targets.iter().map(|target| TargetName {
        host: (*target.host).into(),
        port: target.port,
        weight: target.weight,
    });
    targets.collect()
}
