//! The resolver that everybody shares.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stdx::Clock;
use stdx::files::{SMALL_FILE, read_bounded};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::cache::{Cache, Entry, Found};
use super::files::{self, HostAddresses};
use super::query::Client;
use super::turns::Turns;
use super::{Answer, DnsSettings, Records};
use crate::{Error, ResolveError};

/// How many SRV records are followed from name to name.
const MAX_SERVICE_DEPTH: usize = 8;

/// How long an answer is cached that needs no name server: ten years, as in Kong.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Names longer than this exist nowhere (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;

/// A lookup under way: the entry that comes of it, once it is there.
type Flight = watch::Receiver<Option<Arc<Entry>>>;

/// Resolves names for all workers: lookups run as tasks of the runtime that it was made for, and answers are cached.
/// Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    settings: DnsSettings,
    hosts: HashMap<Box<str>, HostAddresses>,
    client: Client,
    cache: Cache,
    /// Lookups under way, which others may join.
    flights: Mutex<HashMap<Box<str>, Flight>>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    /// Reads the hosts file and `resolv.conf`; either may be missing. Lookups will run on `runtime`, which needs its IO
    /// and timer drivers.
    pub fn new(
        settings: DnsSettings,
        runtime: Handle,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        if settings.order.is_empty() {
            return Err(Error::DnsSetting(
                "dns_order: at least one record type is needed".to_owned(),
            ));
        }
        let read = |path: &std::path::Path| match read_bounded(path, SMALL_FILE) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot be read; going on without it");
                String::new()
            }
        };
        let hosts = files::parse_hosts(&read(&settings.hosts_file));
        let system = files::system_config(&settings, &read(&settings.resolv_conf))?;
        let client = Client::new(system, &settings)?;
        let cache = Cache::new(settings.cache_size);
        Ok(Self(Arc::new(Shared {
            settings,
            hosts,
            client,
            cache,
            flights: Mutex::default(),
            runtime,
            clock,
        })))
    }

    /// The records of a name: from the cache if it can answer, possibly with a stale answer that is being renewed.
    /// IP literals, with or without brackets, resolve to themselves. Cancel safe: a lookup goes on for the next one who asks.
    pub async fn resolve(&self, name: &str) -> Result<Answer, ResolveError> {
        if let Some(address) = self.fixed_address(name) {
            let records = Arc::new(Records::Addresses(vec![address]));
            return Ok(Answer {
                records,
                expires: self.0.clock.monotonic() + FOREVER,
            });
        }
        let entry = self.entry(name).await?;
        match &entry.outcome {
            Ok(found) => Ok(Answer {
                records: Arc::clone(&found.records),
                expires: entry.expires,
            }),
            Err(error) => Err(error.clone()),
        }
    }

    /// One address for a name: follows SRV records, takes turns between the records (by weight among SRV records of the
    /// best priority), and takes the port of an SRV record over `port`.
    pub async fn resolve_address(&self, name: &str, port: u16) -> Result<SocketAddr, ResolveError> {
        let mut name = Cow::Borrowed(name);
        let mut port = port;
        for _ in 0..MAX_SERVICE_DEPTH {
            if let Some(address) = self.fixed_address(&name) {
                return Ok(SocketAddr::new(address, port));
            }
            let entry = self.entry(&name).await?;
            match pick(&entry, port)? {
                Pick::Address(address) => return Ok(address),
                Pick::Service(target, its_port) => {
                    name = Cow::Owned(target.into());
                    port = its_port;
                }
            }
        }
        Err(ResolveError::Recursion)
    }

    /// As [`Resolver::resolve_address`], without waiting: `None` if the cache cannot answer.
    pub fn cached_address(
        &self,
        name: &str,
        port: u16,
    ) -> Option<Result<SocketAddr, ResolveError>> {
        let mut name = Cow::Borrowed(name);
        let mut port = port;
        for _ in 0..MAX_SERVICE_DEPTH {
            if let Some(address) = self.fixed_address(&name) {
                return Some(Ok(SocketAddr::new(address, port)));
            }
            let entry = self.cached(&fold(&name))?;
            match pick(&entry, port) {
                Ok(Pick::Address(address)) => return Some(Ok(address)),
                Ok(Pick::Service(target, its_port)) => {
                    name = Cow::Owned(target.into());
                    port = its_port;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Err(ResolveError::Recursion))
    }

    /// Forgets every answer.
    pub fn clear(&self) {
        self.0.cache.clear();
    }

    /// The address of an IP literal or of a name in the hosts file.
    fn fixed_address(&self, name: &str) -> Option<IpAddr> {
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        if let Ok(address) = bare.parse() {
            return Some(address);
        }
        self.0
            .hosts
            .get(&*fold(name))?
            .preferred(&self.0.settings.order)
    }

    /// What the cache has for a name, if it may be served. A stale entry is renewed on the way.
    fn cached(&self, name: &str) -> Option<Arc<Entry>> {
        let entry = self.0.cache.get(name)?;
        let now = self.0.clock.monotonic();
        if now < entry.expires {
            return Some(entry);
        }
        if now >= entry.stale_until {
            return None;
        }
        if now >= entry.renew_after {
            drop(self.flight(name));
        }
        Some(entry)
    }

    async fn entry(&self, name: &str) -> Result<Arc<Entry>, ResolveError> {
        let name = fold(name);
        if let Some(entry) = self.cached(&name) {
            return Ok(entry);
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(ResolveError::InvalidName);
        }
        let mut flight = if self.0.settings.no_sync {
            self.launch(&name, false)
        } else {
            self.flight(&name)
        };
        let landed = flight.wait_for(Option::is_some).await;
        match landed.as_deref() {
            Ok(Some(entry)) => Ok(Arc::clone(entry)),
            _ => Err(ResolveError::Network("the resolver has stopped".to_owned())),
        }
    }

    /// The lookup of a name that is under way, or a new one.
    fn flight(&self, name: &str) -> Flight {
        if let Some(flight) = self.0.flights.lock().get(name) {
            return flight.clone();
        }
        self.launch(name, true)
    }

    fn launch(&self, name: &str, joinable: bool) -> Flight {
        let (landed, flight) = watch::channel(None);
        if joinable {
            let mut flights = self.0.flights.lock();
            if let Some(other) = flights.get(name) {
                return other.clone();
            }
            flights.insert(name.into(), flight.clone());
        }
        let shared = Arc::clone(&self.0);
        let landing = Landing {
            shared: Arc::clone(&shared),
            name: name.into(),
            joinable,
        };
        self.0.runtime.spawn(async move {
            let entry = shared.look_up(&landing.name).await;
            // The cache first, so that whoever comes after the flight finds the answer.
            drop(landing);
            landed.send_replace(Some(entry));
        });
        flight
    }
}

/// Ends a flight, however its task ends.
struct Landing {
    shared: Arc<Shared>,
    name: Box<str>,
    joinable: bool,
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.joinable {
            self.shared.flights.lock().remove(&self.name);
        }
    }
}

impl Shared {
    /// Asks, and caches what comes of it.
    async fn look_up(&self, name: &str) -> Arc<Entry> {
        let before = self.cache.get(name);
        let last = before
            .as_ref()
            .and_then(|entry| entry.outcome.as_ref().ok())
            .map(|found| found.kind);
        let fetched = self.client.fetch(name, last).await;
        let now = self.clock.monotonic();
        let entry = match fetched {
            Ok(fetched) => {
                let turns = Arc::new(Turns::new(&fetched.records));
                let found = Found {
                    records: Arc::new(fetched.records),
                    turns,
                    kind: fetched.kind,
                };
                let expires = now + self.settings.valid_ttl.unwrap_or(fetched.ttl);
                Entry::new(Ok(found), expires, expires + self.settings.stale_ttl)
            }
            Err(error) => {
                tracing::debug!(name, %error, "name resolution failed");
                let lifetime = match &error {
                    ResolveError::Empty | ResolveError::Server { code: 3, .. } => {
                        self.settings.not_found_ttl
                    }
                    _ => self.settings.error_ttl,
                };
                let good = before.filter(|entry| entry.outcome.is_ok() && now < entry.stale_until);
                match good {
                    // An answer that was good is worth more than an error, for as long as it may be served.
                    Some(good) => good.put_off(now + lifetime),
                    None => Entry::new(Err(error), now + lifetime, now + lifetime),
                }
            }
        };
        let entry = Arc::new(entry);
        self.cache.insert(name, Arc::clone(&entry));
        entry
    }
}

/// Whose turn it is.
enum Pick<'a> {
    Address(SocketAddr),
    /// Another name to resolve, with its port.
    Service(&'a str, u16),
}

fn pick(entry: &Entry, port: u16) -> Result<Pick<'_>, ResolveError> {
    let found = entry.outcome.as_ref().map_err(Clone::clone)?;
    let index = found.turns.pick(&found.records);
    match &*found.records {
        Records::Addresses(addresses) => addresses
            .get(index)
            .map(|address| Pick::Address(SocketAddr::new(*address, port))),
        Records::Services(services) => services.get(index).map(|service| {
            Pick::Service(
                &service.target,
                if service.port == 0 {
                    port
                } else {
                    service.port
                },
            )
        }),
    }
    .ok_or(ResolveError::Empty)
}

/// Lower case, without an allocation in the common case.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
