//! Name resolution with Kong's `dns_*` settings, on hickory-resolver.
//!
//! The library asks name servers; everything that Kong's settings speak of is here: the hosts file, the order of record
//! types, search domains, lifetimes, stale answers and the bounded cache. Lookups run on one runtime whoever asks, so that a
//! worker that waits for a name costs nothing, and several that wait for the same name wait for one lookup.

mod cache;
mod files;
mod query;
mod resolver;
mod turns;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use resolver::Resolver;

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

impl std::str::FromStr for RecordKind {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_uppercase().as_str() {
            "LAST" => Ok(Self::Last),
            "SRV" => Ok(Self::Srv),
            "A" => Ok(Self::A),
            "AAAA" => Ok(Self::Aaaa),
            "CNAME" => Ok(Self::Cname),
            _ => Err(crate::Error::DnsSetting(format!(
                "dns_order: invalid entry {text:?}; allowed are LAST, SRV, A, AAAA and CNAME"
            ))),
        }
    }
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

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            resolv_conf: "/etc/resolv.conf".into(),
            hosts_file: "/etc/hosts".into(),
            order: vec![
                RecordKind::Last,
                RecordKind::Srv,
                RecordKind::A,
                RecordKind::Cname,
            ],
            valid_ttl: None,
            stale_ttl: Duration::from_secs(3600),
            cache_size: 10_000,
            not_found_ttl: Duration::from_secs(30),
            error_ttl: Duration::from_secs(1),
            no_sync: false,
        }
    }
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// When the records have to be asked for again; in the past if the answer is stale and being renewed.
    pub expires: Instant,
}
