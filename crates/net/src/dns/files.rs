//! The hosts file and resolv.conf.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::system_conf::parse_resolv_conf;

use super::{DnsSettings, RecordKind};
use crate::Error;

/// The wait for one answer where resolv.conf says nothing: Kong's default.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses that the hosts file gives to a name; the first of each family counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostAddresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl HostAddresses {
    /// The address whose family comes first in the order; a family that the order does not name comes last.
    pub(super) fn preferred(self, order: &[RecordKind]) -> Option<IpAddr> {
        let v4 = self.v4.map(IpAddr::from);
        let v6 = self.v6.map(IpAddr::from);
        let place = |kind| {
            order
                .iter()
                .position(|entry| *entry == kind)
                .unwrap_or(usize::MAX)
        };
        if place(RecordKind::Aaaa) < place(RecordKind::A) {
            v6.or(v4)
        } else {
            v4.or(v6)
        }
    }
}

/// Parses a hosts file; `localhost` is there even if the file does not name it.
pub(super) fn parse_hosts(text: &str) -> HashMap<Box<str>, HostAddresses> {
    let mut hosts: HashMap<Box<str>, HostAddresses> = HashMap::new();
    for line in text.lines() {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        for name in words {
            let known = hosts.entry(name.to_ascii_lowercase().into()).or_default();
            match address {
                IpAddr::V4(v4) => _ = known.v4.get_or_insert(v4),
                IpAddr::V6(v6) => _ = known.v6.get_or_insert(v6),
            }
        }
    }
    hosts.entry("localhost".into()).or_insert(HostAddresses {
        v4: Some(Ipv4Addr::LOCALHOST),
        v6: Some(Ipv6Addr::LOCALHOST),
    });
    hosts
}

/// What the library needs, and what is done here in its stead.
#[derive(Debug)]
pub(super) struct SystemConfig {
    pub(super) servers: Vec<NameServerConfig>,
    pub(super) options: ResolverOpts,
    /// Search domains without a final dot.
    pub(super) search: Vec<Box<str>>,
}

/// Merges resolv.conf with the settings. A file without name servers means the local one, as for the C library.
pub(super) fn system_config(
    settings: &DnsSettings,
    resolv_conf: &str,
) -> Result<SystemConfig, Error> {
    let (config, mut options): (ResolverConfig, ResolverOpts) = parse_resolv_conf(resolv_conf)
        .or_else(|_| parse_resolv_conf(format!("{resolv_conf}\nnameserver 127.0.0.1\n")))
        .map_err(|error| {
            Error::DnsSetting(format!("{}: {error}", settings.resolv_conf.display()))
        })?;
    if !resolv_conf.contains("timeout:") {
        options.timeout = QUERY_TIMEOUT;
    }
    let search = config.search().iter().map(|name| {
        let name = name.to_ascii();
        name.strip_suffix('.')
            .unwrap_or(&name)
            .to_ascii_lowercase()
            .into()
    });
    let servers = match settings.servers.as_slice() {
        [] => config.name_servers().to_vec(),
        some => some.iter().map(|address| name_server(*address)).collect(),
    };
    Ok(SystemConfig {
        servers,
        search: search.collect(),
        options,
    })
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![
        at_port(ConnectionConfig::udp()),
        at_port(ConnectionConfig::tcp()),
    ];
    NameServerConfig::new(address.ip(), true, connections)
}
