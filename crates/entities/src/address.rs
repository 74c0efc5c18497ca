//! Hosts with an optional port, as users write them in services, upstreams and targets.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What sort of host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    Ipv4,
    Ipv6,
    Name,
}

/// A host and maybe a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub kind: HostKind,
    /// A dotted IPv4 address, all eight groups of an IPv6 address without brackets, or a name as it was written.
    pub host: String,
    pub port: Option<u16>,
}

/// Why text is no address; displayed in the words of the Admin API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("invalid port number")]
    Port,
    #[error("invalid ipv4 address: {0}")]
    Ipv4(String),
    #[error("invalid ipv6 address: {0}")]
    Ipv6(String),
    #[error("invalid hostname: {0}")]
    Name(String),
}

impl Address {
    /// Parses `name`, `name:port`, `1.2.3.4`, `1.2.3.4:port`, `::1`, `[::1]` or `[::1]:port`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let colons = text.bytes().filter(|byte| *byte == b':').count();
        if colons > 1 {
            return parse_ipv6(text);
        }
        let numeric = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b':');
        if numeric && text.len() > colons {
            parse_ipv4(text)
        } else {
            parse_name(text)
        }
    }

    /// The address with a port: its own, or the given one. IPv6 addresses stand in brackets.
    pub fn with_port(&self, default: u16) -> String {
        let port = self.port.unwrap_or(default);
        match self.kind {
            HostKind::Ipv6 => format!("[{}]:{port}", self.host),
            HostKind::Ipv4 | HostKind::Name => format!("{}:{port}", self.host),
        }
    }
}

fn parse_port(digits: &str) -> Result<u16, AddressError> {
    digits.parse().map_err(|_| AddressError::Port)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_ipv4(text: &str) -> Result<Address, AddressError> {
    let invalid = || AddressError::Ipv4(text.to_owned());
    let (host, port) = match text.split_once(':') {
        Some((host, port)) if is_digits(port) => (host, Some(port)),
        Some(_) => return Err(invalid()),
        None => (text, None),
    };
    let mut octets = [0_u8; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts
            .next()
            .filter(|part| is_digits(part) && part.len() <= 3)
            .ok_or_else(invalid)?;
        *octet = part.parse().map_err(|_| invalid())?;
    }
    if parts.next().is_some() {
        return Err(invalid());
    }
    let port = port.map(parse_port).transpose()?;
    Ok(Address {
        kind: HostKind::Ipv4,
        host: Ipv4Addr::from(octets).to_string(),
        port,
    })
}

fn parse_ipv6(text: &str) -> Result<Address, AddressError> {
    let invalid = || AddressError::Ipv6(text.to_owned());
    let (host, port) = match text.strip_prefix('[') {
        None => (text, None),
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(invalid)?;
            match rest.strip_prefix(':') {
                Some(digits) if is_digits(digits) => (host, Some(parse_port(digits)?)),
                None if rest.is_empty() => (host, None),
                _ => return Err(invalid()),
            }
        }
    };
    if host.contains('.') {
        return Err(invalid());
    }
    let address: Ipv6Addr = host.parse().map_err(|_| invalid())?;
    let groups: Vec<_> = address
        .segments()
        .iter()
        .map(|group| format!("{group:04x}"))
        .collect();
    Ok(Address {
        kind: HostKind::Ipv6,
        host: groups.join(":"),
        port,
    })
}

fn parse_name(text: &str) -> Result<Address, AddressError> {
    let invalid = || AddressError::Name(text.to_owned());
    let (name, port) = match text.rsplit_once(':') {
        Some((name, digits)) if is_digits(digits) => (name, Some(parse_port(digits)?)),
        _ => (text, None),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(invalid());
    }
    let labels: Vec<&str> = name.split('.').collect();
    let (last, others) = labels.split_last().ok_or_else(invalid)?;
    if last.ends_with('-')
        || others
            .iter()
            .any(|label| label.is_empty() || label.ends_with('-'))
    {
        return Err(invalid());
    }
    Ok(Address {
        kind: HostKind::Name,
        host: name.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = Address::parse(text);
        let shown = parsed
            .as_ref()
            .map(|address| address.with_port(8000))
            .map_err(ToString::to_string);
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn addresses_get_a_port_and_a_normal_form() {
        check("a.test", Ok("a.test:8000"));
        check("a.test.", Ok("a.test.:8000"));
        check("a_b-c.test:80", Ok("a_b-c.test:80"));
        check("127.0.0.1", Ok("127.0.0.1:8000"));
        check("001.002.003.004:123", Ok("1.2.3.4:123"));
        check("::1", Ok("[0000:0000:0000:0000:0000:0000:0000:0001]:8000"));
        check(
            "[2001:DB8::1]:443",
            Ok("[2001:0db8:0000:0000:0000:0000:0000:0001]:443"),
        );
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        check("", Err("invalid hostname: "));
        check("a b", Err("invalid hostname: a b"));
        check("a..b", Err("invalid hostname: a..b"));
        check("-", Err("invalid hostname: -"));
        check("a-.test", Err("invalid hostname: a-.test"));
        check("http://x.test", Err("invalid hostname: http://x.test"));
        check("a.test:99999", Err("invalid port number"));
        check("300.1.1.1:80", Err("invalid ipv4 address: 300.1.1.1:80"));
        check("1.2.3", Err("invalid ipv4 address: 1.2.3"));
        check("127.0.0.1:99999", Err("invalid port number"));
        check("1::2::3", Err("invalid ipv6 address: 1::2::3"));
        check("[::1]x", Err("invalid ipv6 address: [::1]x"));
        check(
            "::ffff:1.2.3.4",
            Err("invalid ipv6 address: ::ffff:1.2.3.4"),
        );
    }
}
