//! From targets to addresses.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use balancer::Address;
use net::ResolveError;
use net::dns::{Records, Resolver};

/// How soon a name that could not be resolved is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A target as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName {
    /// A name or an address, IPv6 in brackets.
    pub host: Arc<str>,
    pub port: u16,
    pub weight: u32,
}

/// The kind of record that gave addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    A,
    Aaaa,
    Srv,
}

impl RecordType {
    /// As DNS names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }
}

/// What a target's name stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub addresses: Vec<Address>,
    pub record: RecordType,
    /// When it has to be asked again.
    pub expires: Instant,
}

/// Resolves the name of a target: all addresses, or all services of the best priority with their ports and weights.
pub async fn resolve(
    resolver: &Resolver,
    target: &TargetName,
    now: Instant,
) -> Result<Resolved, ResolveError> {
    let answer = resolver.resolve(&target.host).await?;
    let mut resolved = Resolved {
        addresses: Vec::new(),
        record: RecordType::A,
        expires: answer.expires.max(now + RETRY),
    };
    match answer.records.as_ref() {
        Records::Addresses(ips) => {
            if ips.first().is_some_and(IpAddr::is_ipv6) {
                resolved.record = RecordType::Aaaa;
            }
            for ip in ips {
                resolved.push(target, None, (*ip, target.port), target.weight);
            }
        }
        Records::Services(services) => {
            resolved.record = RecordType::Srv;
            let best = services.first().map_or(0, |service| service.priority);
            for service in services.iter().filter(|service| service.priority == best) {
                let port = if service.port == 0 {
                    target.port
                } else {
                    service.port
                };
                // Compat: a target with SRV records takes their weights; a weight of zero still takes a little.
                let weight = u32::from(service.weight).max(1);
                match resolver.resolve_address(&service.target, port).await {
                    Ok(address) => {
                        let place = (address.ip(), address.port());
                        resolved.push(target, Some(&service.target), place, weight);
                    }
                    Err(_) => resolved.expires = resolved.expires.min(now + RETRY),
                }
            }
        }
    }
    Ok(resolved)
}

/// As [`resolve`], without waiting; `None` if the answer is not at hand. A lookup that this began goes on.
pub fn resolve_at_once(
    resolver: &Resolver,
    target: &TargetName,
    now: Instant,
) -> Option<Result<Resolved, ResolveError>> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(resolve(resolver, target, now)).poll(&mut context) {
        Poll::Ready(resolved) => Some(resolved),
        Poll::Pending => None,
    }
}

/// As [`resolve`] for each of several targets, in their order. They are all asked for at once, so that it takes as long as
/// the slowest of them.
pub async fn resolve_all(
    resolver: &Resolver,
    targets: &[TargetName],
    now: Instant,
) -> Vec<Result<Resolved, ResolveError>> {
    let at_once = targets
        .iter()
        .map(|target| resolve_at_once(resolver, target, now));
    let at_once: Vec<_> = at_once.collect();
    let mut all = Vec::with_capacity(targets.len());
    for (target, known) in targets.iter().zip(at_once) {
        all.push(match known {
            Some(known) => known,
            None => resolve(resolver, target, now).await,
        });
    }
    all
}

impl Resolved {
    /// Adds an address; `record` is the name in the record that led to it, if that is a name.
    fn push(
        &mut self,
        target: &TargetName,
        record: Option<&str>,
        (ip, port): (IpAddr, u16),
        weight: u32,
    ) {
        let host: Arc<str> = if ip.is_ipv6() {
            format!("[{ip}]").into()
        } else {
            ip.to_string().into()
        };
        self.addresses.push(Address {
            target: target.host.clone(),
            target_port: target.port,
            record: record.map_or_else(|| host.clone(), Into::into),
            host,
            port,
            // A target without weight takes no traffic, whatever its records say.
            weight: if target.weight == 0 { 0 } else { weight },
        });
    }
}
