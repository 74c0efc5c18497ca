//! Name resolution with Kong's `dns_*` settings, on hickory-resolver.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Error, ResolveError};

/// A kind of `dns_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// The kind that the last successful lookup of the name found.
    Last,
    /// SRV.
    Srv,
    /// A.
    A,
    /// AAAA.
    Aaaa,
    /// CNAME.
    Cname,
}

/// Settings; the names are those of Kong's `dns_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// `dns_resolver`: name servers; empty takes those of `resolv_conf`.
    pub servers: Vec<SocketAddr>,
    /// Where name servers, search domains, ndots, timeout and attempts come from.
    pub resolv_conf: PathBuf,
    /// `dns_hostsfile`.
    pub hosts_file: PathBuf,
    /// `dns_order`.
    pub order: Vec<RecordKind>,
    /// `dns_valid_ttl`: replaces the lifetime of every answer.
    pub valid_ttl: Option<Duration>,
    /// `dns_stale_ttl`: how long an expired answer is served while it is renewed.
    pub stale_ttl: Duration,
    /// `dns_cache_size`: names kept.
    pub cache_size: usize,
    /// `dns_not_found_ttl`: lifetime of "no such name" and of empty answers.
    pub not_found_ttl: Duration,
    /// `dns_error_ttl`: lifetime of other errors.
    pub error_ttl: Duration,
    /// `dns_no_sync`: every lookup that misses the cache asks by itself, instead of joining one that is under way.
    pub no_sync: bool,
}

/// What a name resolves to.
#[derive(Debug, PartialEq, Eq)]
pub enum Records {
    /// A or AAAA records, in the order of the server. Never empty.
    Addresses(Vec<IpAddr>),
    /// SRV records, best priority first. Never empty.
    Services(Vec<ServiceRecord>),
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Lower is tried first.
    pub priority: u16,
    /// The share among records of one priority.
    pub weight: u16,
    /// The port; 0 leaves the port to the one who asks.
    pub port: u16,
    /// The host, without a final dot; possibly an IP address.
    pub target: Box<str>,
}

/// An answer from the cache or the network.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The records.
    pub records: Arc<Records>,
    /// When the records have to be asked for again.
    pub expires: Instant,
}

/// Resolves names for all workers: lookups run as tasks of the runtime that it was made for, and answers are cached.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<()>);

impl Resolver {
    /// Reads the hosts file and `resolv.conf`. Lookups will run on `runtime`.
    pub fn new(settings: DnsSettings, runtime: tokio::runtime::Handle) -> Result<Self, Error> {
        let _ = (settings, runtime);
        unimplemented!()
    }

    /// The records of a name: from the cache if it can answer, possibly with a stale answer that is being renewed.
    /// IP literals, with or without brackets, resolve to themselves.
    pub async fn resolve(&self, name: &str) -> Result<Answer, ResolveError> {
        let _ = name;
        unimplemented!()
    }

    /// One address for a name: follows SRV records, takes turns between the records (by weight among SRV records of the
    /// best priority), and takes the port of an SRV record over `port`.
    pub async fn resolve_address(&self, name: &str, port: u16) -> Result<SocketAddr, ResolveError> {
        let _ = (name, port);
        unimplemented!()
    }

    /// As [`Resolver::resolve_address`], without waiting: `None` if the cache cannot answer.
    pub fn cached_address(
        &self,
        name: &str,
        port: u16,
    ) -> Option<Result<SocketAddr, ResolveError>> {
        let _ = (name, port);
        unimplemented!()
    }

    /// Forgets every answer.
    pub fn clear(&self) {
        unimplemented!()
    }
}
