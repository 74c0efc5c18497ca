//! Host names in routes and requests.

/// Where a host pattern is found in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostKey {
    /// No host is asked for.
    Any,
    Exact(Box<[u8]>),
    /// `*.example.com` without its asterisk.
    Suffix(Box<[u8]>),
    /// `example.*` without its asterisk.
    Prefix(Box<[u8]>),
}

impl HostKey {
    /// Reads a host of a route, without its port.
    pub(crate) fn parse(host: &[u8]) -> Self {
        match host {
            [b'*', suffix @ ..] => Self::Suffix(suffix.into()),
            [prefix @ .., b'*'] => Self::Prefix(prefix.into()),
            _ => Self::Exact(host.into()),
        }
    }
}

/// A port as it was written; what is beyond 16 bits equals no port.
pub(crate) type Port = u32;

/// Cuts `:port` off.
///
/// Compat: as in Kong, what follows the first colon must be a number, so a bracketed IPv6 address stays whole.
pub(crate) fn split_port(host: &[u8]) -> (&[u8], Option<Port>) {
    let Some(colon) = host.iter().position(|b| *b == b':') else {
        return (host, None);
    };
    match parse_port(&host[colon + 1..]) {
        Some(port) => (&host[..colon], Some(port)),
        None => (host, None),
    }
}

pub(crate) fn parse_port(digits: &[u8]) -> Option<Port> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    Some(text.parse().unwrap_or(Port::MAX))
}
