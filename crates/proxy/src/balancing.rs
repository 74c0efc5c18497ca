//! The targets of upstreams on one worker: their names resolved, and the state of their algorithms.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::{Address, Balancer, Eligible, HashInput};
use http1::Known;
use net::dns::Records;
use snapshot::{Target, Upstream};
use uuid::Uuid;

use crate::exchange::Exchange;
use crate::local::Local;

/// How soon names that could not be resolved are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The balancers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Balancers(Rc<RefCell<HashMap<Uuid, Entry>>>);

#[derive(Debug)]
struct Entry {
    upstream: Arc<Upstream>,
    balancer: Balancer,
    /// When the first of the names has to be resolved again.
    expires: Instant,
}

/// A pick out of an upstream, to be given back when the exchange is over.
///
/// It names the address and not its place: the balancer may be replaced while the exchange goes on.
#[derive(Debug)]
pub(crate) struct Lease {
    entries: Rc<RefCell<HashMap<Uuid, Entry>>>,
    upstream: Arc<Upstream>,
    address: Address,
    /// Counts in the balancer until it is given back.
    open: bool,
    tried: Vec<Address>,
    began: Instant,
    clock: Arc<dyn stdx::Clock>,
}

impl Lease {
    /// Where it came from.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Notes that the address did not serve.
    pub fn failed(&mut self) {
        self.tried.push(self.address.clone());
        self.release(false);
    }

    fn release(&mut self, answered: bool) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let now = self.clock.monotonic();
        let mut entries = self.entries.borrow_mut();
        let balancer = entries
            .get_mut(&self.upstream.id)
            .map(|entry| &mut entry.balancer);
        if let Some((balancer, index)) = balancer.and_then(|balancer| {
            let index = balancer.index_of(&self.address)?;
            Some((balancer, index))
        }) {
            let time = answered.then(|| now.saturating_duration_since(self.began));
            balancer.release(index, time, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release(true);
    }
}

struct Tried(Vec<usize>);

impl Eligible for Tried {
    fn is_healthy(&self, _: usize) -> bool {
        true
    }

    fn is_tried(&self, address: usize) -> bool {
        self.0.contains(&address)
    }
}

impl Balancers {
    /// Makes sure that there is a balancer for this state of the upstream, with names that were resolved lately.
    pub async fn refresh(&self, worker: &Local, upstream: &Arc<Upstream>) {
        let now = worker.clock.monotonic();
        let current = |entry: &Entry| Arc::ptr_eq(&entry.upstream, upstream) && entry.expires > now;
        if self.0.borrow().get(&upstream.id).is_some_and(current) {
            return;
        }
        let (addresses, expires) = resolve(worker, upstream, now).await;
        let mut entries = self.0.borrow_mut();
        let mut random = worker.random.borrow_mut();
        let before = entries.get(&upstream.id);
        if let Some(before) = before
            && before.balancer.addresses() == addresses
            && Arc::ptr_eq(&before.upstream, upstream)
        {
            if let Some(entry) = entries.get_mut(&upstream.id) {
                entry.expires = expires;
            }
            return;
        }
        let balancer = match before {
            Some(before) => before.balancer.with_addresses(
                upstream.algorithm,
                upstream.slots,
                addresses,
                now,
                &mut random,
            ),
            None => Balancer::new(
                upstream.algorithm,
                upstream.slots,
                addresses,
                now,
                &mut random,
            ),
        };
        entries.insert(
            upstream.id,
            Entry {
                upstream: upstream.clone(),
                balancer,
                expires,
            },
        );
    }

    /// An address for a request, with the name of its target.
    pub fn pick(
        &self,
        worker: &Local,
        upstream: &Arc<Upstream>,
        key: &[u8],
        before: Option<Lease>,
    ) -> Option<(Lease, SocketAddr, Box<str>)> {
        let tried = before
            .map(|mut lease| std::mem::take(&mut lease.tried))
            .unwrap_or_default();
        let mut entries = self.0.borrow_mut();
        let entry = entries.get_mut(&upstream.id)?;
        let places = tried
            .iter()
            .filter_map(|address| entry.balancer.index_of(address));
        let places = Tried(places.collect());
        let index = entry.balancer.pick(key, &places)?;
        let address = entry.balancer.addresses().get(index)?.clone();
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        let socket = SocketAddr::new(bare.parse::<IpAddr>().ok()?, address.port);
        let name = (*address.target).into();
        let lease = Lease {
            entries: self.0.clone(),
            upstream: entry.upstream.clone(),
            address,
            open: true,
            tried,
            began: worker.clock.monotonic(),
            clock: worker.clock.clone(),
        };
        Some((lease, socket, name))
    }

    /// Forgets upstreams that are gone.
    pub fn retain(&self, exists: impl Fn(Uuid) -> bool) {
        self.0.borrow_mut().retain(|id, _| exists(*id));
    }
}

/// The addresses of all targets; a target whose name does not resolve has none until it does.
async fn resolve(worker: &Local, upstream: &Upstream, now: Instant) -> (Vec<Address>, Instant) {
    let mut addresses = Vec::with_capacity(upstream.targets.len());
    let mut expires = now + Duration::from_secs(3600);
    for target in upstream.targets.iter() {
        match worker.shared.resolver.resolve(&target.host).await {
            Ok(answer) => {
                expires = expires.min(answer.expires.max(now + RETRY));
                add(
                    &mut addresses,
                    worker,
                    target,
                    &answer.records,
                    &mut expires,
                )
                .await;
            }
            Err(error) => {
                tracing::warn!(%error, upstream = %upstream.name, target = %target.host, "a target's name does not resolve");
                expires = expires.min(now + RETRY);
            }
        }
    }
    (addresses, expires)
}

async fn add(
    addresses: &mut Vec<Address>,
    worker: &Local,
    target: &Target,
    records: &Records,
    expires: &mut Instant,
) {
    let name: Arc<str> = (*target.host).into();
    let mut push = |ip: IpAddr, port: u16, weight: u32| {
        let host = if ip.is_ipv6() {
            format!("[{ip}]")
        } else {
            ip.to_string()
        };
        addresses.push(Address {
            target: name.clone(),
            target_port: target.port,
            host: host.into(),
            port,
            weight,
        });
    };
    match records {
        Records::Addresses(ips) => ips
            .iter()
            .for_each(|ip| push(*ip, target.port, target.weight)),
        Records::Services(services) => {
            let best = services.first().map_or(0, |service| service.priority);
            for service in services.iter().filter(|service| service.priority == best) {
                let port = if service.port == 0 {
                    target.port
                } else {
                    service.port
                };
                // Compat: a target with SRV records takes their weights; a weight of zero still takes a little.
                let weight = u32::from(service.weight).max(1);
                if let Ok(address) = worker
                    .shared
                    .resolver
                    .resolve_address(&service.target, port)
                    .await
                {
                    push(address.ip(), address.port(), weight);
                } else {
                    *expires = (*expires).min(worker.clock.monotonic() + RETRY);
                }
            }
        }
    }
}

impl Exchange {
    /// What consistent hashing goes by: the policy's first input, else its fallback.
    pub fn hash_key(&mut self, upstream: &Upstream) -> Vec<u8> {
        for input in [&upstream.policy.on, &upstream.policy.fallback] {
            if let Some(key) = self.hash_input(input) {
                return key;
            }
        }
        Vec::new()
    }

    fn hash_input(&mut self, input: &HashInput) -> Option<Vec<u8>> {
        let headers = &self.head.headers;
        match input {
            // There are no consumers before there are plugins that authenticate.
            HashInput::None | HashInput::Consumer => None,
            HashInput::Ip => self
                .client
                .map(|client| client.ip().to_string().into_bytes()),
            HashInput::Path => Some(router::normalize_path(self.head.path()).into_owned()),
            HashInput::Header(name) => {
                let values: Vec<&[u8]> = headers.get_all(&**name).collect();
                (!values.is_empty()).then(|| values.join(&b", "[..]))
            }
            HashInput::QueryArg(name) => {
                let mut values = query_values(self.head.query().unwrap_or_default(), name);
                values.sort();
                (!values.is_empty()).then(|| values.join(",").into_bytes())
            }
            HashInput::UriCapture(name) => {
                let captures = self.chosen.as_ref()?.captures.as_deref()?;
                let value = name
                    .parse()
                    .ok()
                    .and_then(|number| captures.number(number))
                    .or_else(|| captures.name(name));
                value.map(|value| value.as_bytes().to_vec())
            }
            HashInput::Cookie { name, path } => {
                Some(match cookie(headers.get_all(&Known::Cookie), name) {
                    Some(value) => value.to_vec(),
                    None => {
                        let value = self.worker.new_id();
                        let line = format!("{name}={value}; Path={path}");
                        self.set_cookie.get_or_insert(line);
                        value.as_bytes().to_vec()
                    }
                })
            }
        }
    }
}

/// The values of a query argument, decoded.
fn query_values(query: &[u8], name: &str) -> Vec<String> {
    let decode = |text: &[u8]| {
        let plus: Vec<u8> = text
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        percent_encoding::percent_decode(&plus)
            .decode_utf8_lossy()
            .into_owned()
    };
    let arguments = query
        .split(|byte| *byte == b'&')
        .filter(|argument| !argument.is_empty());
    arguments
        .filter_map(|argument| {
            let mut parts = argument.splitn(2, |byte| *byte == b'=');
            let key = decode(parts.next().unwrap_or_default());
            (key == name).then(|| decode(parts.next().unwrap_or_default()))
        })
        .collect()
}

fn cookie<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    let mut pairs = lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_arguments_are_decoded_and_may_repeat() {
        assert_eq!(query_values(b"a=1&b=%32+x&b&a=", "b"), ["2 x", ""]);
        assert_eq!(query_values(b"", "b"), Vec::<String>::new());
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let lines = [&b"ab=1; a=2"[..], b"b=3"];
        assert_eq!(cookie(lines.into_iter(), "a"), Some(&b"2"[..]));
        assert_eq!(cookie(lines.into_iter(), "b"), Some(&b"3"[..]));
        assert_eq!(cookie(lines.into_iter(), "c"), None);
    }
}
