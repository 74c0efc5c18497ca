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
    if digits.is_empty() {
        return None;
    }
    let mut port: Port = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // What is too large stays so.
        port = port
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'));
    }
    Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_however_long() {
        let port = |digits: &str| parse_port(digits.as_bytes());
        assert_eq!(
            (port("0"), port("8000"), port("65536")),
            (Some(0), Some(8000), Some(65_536))
        );
        assert_eq!(port("99999999999999999999999"), Some(Port::MAX));
        assert_eq!((port(""), port("+1"), port("1a")), (None, None, None));
    }
}
