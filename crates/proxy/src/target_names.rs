//! From the targets of an upstream to addresses, on one worker.

use std::time::{Duration, Instant};

use balancer::Address;
use health::{Resolved, TargetName};
use snapshot::Upstream;

use crate::local::Local;

/// How soon names that could not be resolved are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The targets of an upstream on their way to addresses.
pub(crate) struct Names {
    targets: Vec<TargetName>,
    /// One for each target, as far as it is known.
    resolved: Vec<Option<Result<Resolved, net::ResolveError>>>,
}

impl Names {
    pub fn of(upstream: &Upstream) -> Self {
        let targets = upstream.targets.iter().map(|target| TargetName {
            host: (*target.host).into(),
            port: target.port,
            weight: target.weight,
        });
        let targets: Vec<_> = targets.collect();
        Self {
            resolved: vec![None; targets.len()],
            targets,
        }
    }

    /// Takes the answers that are at hand, and has the others asked for.
    pub fn take_known(&mut self, worker: &Local) {
        let now = worker.clock.monotonic();
        for (target, resolved) in self.targets.iter().zip(&mut self.resolved) {
            *resolved = health::resolve_at_once(&worker.shared.resolver, target, now);
        }
    }

    /// Waits for the answers that are missing; they were all asked for at once.
    pub async fn wait(&mut self, worker: &Local, upstream: &Upstream) {
        let now = worker.clock.monotonic();
        for (target, resolved) in self.targets.iter().zip(&mut self.resolved) {
            if resolved.is_some() {
                continue;
            }
            let answer = health::resolve(&worker.shared.resolver, target, now).await;
            if let Err(error) = &answer {
                tracing::warn!(%error, upstream = %upstream.name, target = %target.host, "a target's name does not resolve");
            }
            *resolved = Some(answer);
        }
    }

    pub fn are_some_known(&self) -> bool {
        let mut known = self.resolved.iter().flatten().flatten();
        known.any(|resolved| !resolved.addresses.is_empty())
    }

    pub fn are_all_answered(&self) -> bool {
        self.resolved.iter().all(Option::is_some)
    }

    /// All addresses, and when they have to be asked for again. A target without an answer keeps the addresses it had.
    pub fn finish(self, before: &[Address], now: Instant) -> (Vec<Address>, Instant) {
        let mut addresses = Vec::with_capacity(self.targets.len());
        let mut expires = now + Duration::from_secs(3600);
        for (target, resolved) in self.targets.into_iter().zip(self.resolved) {
            if let Some(Ok(resolved)) = resolved {
                expires = expires.min(resolved.expires);
                addresses.extend(resolved.addresses);
                continue;
            }
            expires = expires.min(now + RETRY);
            let had = before.iter().filter(|address| {
                address.target == target.host && address.target_port == target.port
            });
            addresses.extend(had.map(|address| Address {
                weight: if target.weight == 0 {
                    0
                } else {
                    address.weight
                },
                ..address.clone()
            }));
        }
        (addresses, expires)
    }
}
