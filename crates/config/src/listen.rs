//! Listening addresses with their flags, as in `0.0.0.0:8443 http2 ssl reuseport backlog=16384`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where a listener is bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose.
    Ip(SocketAddr),
    /// A host name, resolved when the node starts, and a port.
    Name(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// TCP keep-alive of accepted connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keepalive {
    /// As the system does.
    On,
    /// None.
    Off,
    /// With these figures; one that is absent is the system's.
    Tuned {
        idle: Option<Duration>,
        interval: Option<Duration>,
        count: Option<u32>,
    },
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listener {
    pub address: Address,
    /// Speaks TLS.
    pub ssl: bool,
    /// Offers HTTP/2: by ALPN with `ssl`, by prior knowledge without.
    pub http2: bool,
    /// Every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Each worker has a socket of its own.
    pub reuseport: bool,
    /// How many connections may wait to be accepted.
    pub backlog: Option<u32>,
    /// The kernel holds a connection until data arrives.
    pub deferred: bool,
    /// Bound by itself although a wildcard listener has the port; sockets here always are.
    pub bind: bool,
    /// Whether an IPv6 wildcard leaves IPv4 alone.
    pub ipv6only: Option<bool>,
    pub so_keepalive: Option<Keepalive>,
    /// Datagrams rather than connections; stream listeners only.
    pub udp: bool,
}

impl Listener {
    /// A listener without flags.
    pub fn plain(address: Address) -> Self {
        Self {
            address,
            ssl: false,
            http2: false,
            proxy_protocol: false,
            reuseport: false,
            backlog: None,
            deferred: false,
            bind: false,
            ipv6only: None,
            so_keepalive: None,
            udp: false,
        }
    }

    /// The port, if the address has one.
    pub fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Ip(address) => Some(address.port()),
            Address::Name(_, port) => Some(*port),
            Address::Unix(_) => None,
        }
    }

    /// The flags as Kong writes them back, without `http2`.
    pub(crate) fn flags(&self, stream: bool) -> Vec<String> {
        let mut flags = Vec::new();
        let mut add = |present: bool, flag: &str| {
            if present {
                flags.push(flag.to_owned());
            }
        };
        add(stream && self.udp, "udp");
        add(self.ssl, "ssl");
        add(self.proxy_protocol, "proxy_protocol");
        add(self.deferred, "deferred");
        add(self.bind, "bind");
        add(self.reuseport, "reuseport");
        if let Some(backlog) = self.backlog {
            add(true, &format!("backlog={backlog}"));
        }
        add(self.ipv6only == Some(true), "ipv6only=on");
        add(self.ipv6only == Some(false), "ipv6only=off");
        match self.so_keepalive {
            None => {}
            Some(Keepalive::On) => add(true, "so_keepalive=on"),
            Some(Keepalive::Off) => add(true, "so_keepalive=off"),
            Some(Keepalive::Tuned {
                idle,
                interval,
                count,
            }) => {
                let seconds = |time: Option<Duration>| {
                    time.map_or(String::new(), |t| t.as_secs().to_string())
                };
                let count = count.map_or(String::new(), |count| count.to_string());
                add(
                    true,
                    &format!(
                        "so_keepalive={}:{}:{count}",
                        seconds(idle),
                        seconds(interval)
                    ),
                );
            }
        }
        flags
    }
}

const HTTP_USAGE: &str = "must be of form: [off] | <ip>:<port> [ssl] [http2] [proxy_protocol] [deferred] [bind] \
     [reuseport] [backlog=%d+] [ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] \
     [so_keepalive=%w*:%w*:%d*], [... next entry ...]";
const STREAM_USAGE: &str = "must be of form: [off] | <ip>:<port> [udp] [ssl] [proxy_protocol] [bind] [reuseport] \
     [backlog=%d+] [ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] \
     [so_keepalive=%w*:%w*:%d*], [... next entry ...]";

/// Parses the entries of a listener setting; `off` first means none.
/// The error ends with the form that is allowed.
pub(crate) fn parse(entries: &[String], stream: bool) -> Result<Vec<Listener>, String> {
    let usage = if stream { STREAM_USAGE } else { HTTP_USAGE };
    if entries.is_empty() {
        return Err(usage.to_owned());
    }
    if entries[0].trim() == "off" {
        return Ok(Vec::new());
    }
    let parsed = entries.iter().map(|entry| {
        parse_one(entry, stream).map_err(|reason| format!("{usage} (in {entry:?}: {reason})"))
    });
    parsed.collect()
}

fn parse_one(entry: &str, stream: bool) -> Result<Listener, String> {
    let mut words = entry.split_whitespace();
    let address = words.next().ok_or("there is no address")?;
    let mut listener = Listener::plain(parse_address(address)?);
    for flag in words {
        match flag {
            "ssl" => listener.ssl = true,
            "http2" if !stream => listener.http2 = true,
            "deferred" if !stream => listener.deferred = true,
            "udp" if stream => listener.udp = true,
            "proxy_protocol" => listener.proxy_protocol = true,
            "bind" => listener.bind = true,
            "reuseport" => listener.reuseport = true,
            "ipv6only=on" => listener.ipv6only = Some(true),
            "ipv6only=off" => listener.ipv6only = Some(false),
            _ => parse_figure(flag, &mut listener)?,
        }
    }
    Ok(listener)
}

fn parse_figure(flag: &str, listener: &mut Listener) -> Result<(), String> {
    if let Some(backlog) = flag.strip_prefix("backlog=") {
        let backlog = backlog.parse().ok().filter(|n| *n >= 1);
        listener.backlog = Some(backlog.ok_or_else(|| format!("{flag:?} needs a number"))?);
        return Ok(());
    }
    if let Some(keepalive) = flag.strip_prefix("so_keepalive=") {
        listener.so_keepalive = Some(
            parse_keepalive(keepalive)
                .ok_or_else(|| format!("{flag:?} needs on, off or idle:interval:count"))?,
        );
        return Ok(());
    }
    Err(format!("unknown flag {flag:?}"))
}

fn parse_keepalive(text: &str) -> Option<Keepalive> {
    match text {
        "on" => return Some(Keepalive::On),
        "off" => return Some(Keepalive::Off),
        _ => {}
    }
    let parts: Vec<&str> = text.split(':').collect();
    let [idle, interval, count] = parts[..] else {
        return None;
    };
    let time = |text: &str| -> Option<Option<Duration>> {
        if text.is_empty() {
            return Some(None);
        }
        crate::value::parse_duration(text).map(Some)
    };
    let count = if count.is_empty() {
        None
    } else {
        Some(count.parse().ok()?)
    };
    Some(Keepalive::Tuned {
        idle: time(idle)?,
        interval: time(interval)?,
        count,
    })
}

fn parse_address(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            return Err("a unix socket needs a path".to_owned());
        }
        return Ok(Address::Unix(PathBuf::from(path)));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest
            .split_once("]:")
            .ok_or("an IPv6 address is written [ip]:port")?;
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| format!("{ip:?} is not an IPv6 address"))?;
        return Ok(Address::Ip(SocketAddr::new(
            IpAddr::V6(ip),
            parse_port(port)?,
        )));
    }
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    let port = parse_port(port)?;
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Address::Ip(SocketAddr::new(IpAddr::V4(ip), port)));
    }
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !is_name || host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("{host:?} is neither an IP address nor a host name"));
    }
    Ok(Address::Name(host.to_owned(), port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is not a port"))
}

#[cfg(test)]
mod tests;
