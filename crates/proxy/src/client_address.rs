//! Who the client is, when trusted proxies stand between it and us.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::settings::{DataPlaneSettings, RealIpHeader};

/// Whether `peer` is one of the proxies that `trusted_ips` names.
pub fn is_trusted(trusted: &[IpNet], peer: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&peer))
}

/// The address that stands for the client from here on, with a port when one is known; `None` if nothing names one.
///
/// For a peer that is trusted: `preface` is who the PROXY protocol said is behind it, `values` the values of the real-IP
/// header. Of several addresses the last one counts, or with `real_ip_recursive` the last one that is not itself trusted.
pub fn resolve<'a>(
    settings: &DataPlaneSettings,
    preface: Option<SocketAddr>,
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Option<SocketAddr> {
    if settings.real_ip_header == RealIpHeader::ProxyProtocol {
        return preface;
    }
    let mut found = None;
    let addresses = values
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','));
    for text in addresses {
        let Some(address) = parse_address(text) else {
            break;
        };
        found = Some(address);
        if !settings.real_ip_recursive || !is_trusted(&settings.trusted_ips, address.ip()) {
            break;
        }
    }
    found
}

/// An address as proxies write it: `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`; the port is 0 when it is not given.
fn parse_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().ok().map(|ip| SocketAddr::new(ip, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(recursive: bool, values: &[&str], expected: Option<&str>) {
        let settings = DataPlaneSettings {
            trusted_ips: vec!["10.0.0.0/8".parse().expect("a network")],
            real_ip_recursive: recursive,
            ..DataPlaneSettings::default()
        };
        let found = resolve(&settings, None, values.iter().map(|value| value.as_bytes()));
        let found = found.map(|found| found.ip().to_string());
        assert_eq!(found.as_deref(), expected, "{recursive} {values:?}");
    }

    #[test]
    fn an_address_is_read_in_every_spelling() {
        check(false, &["203.0.113.9"], Some("203.0.113.9"));
        check(false, &["203.0.113.9:81"], Some("203.0.113.9"));
        check(false, &["[2001:db8::1]:81"], Some("2001:db8::1"));
        check(false, &["[2001:db8::1]"], Some("2001:db8::1"));
        check(false, &["nonsense"], None);
        check(false, &[], None);
    }

    #[test]
    fn of_several_addresses_the_last_one_counts_or_the_last_untrusted_one() {
        check(false, &["203.0.113.9, 10.0.0.7"], Some("10.0.0.7"));
        check(true, &["203.0.113.9, 10.0.0.7"], Some("203.0.113.9"));
        check(true, &["203.0.113.9", "10.0.0.7"], Some("203.0.113.9"));
        check(true, &["10.0.0.8, 10.0.0.9"], Some("10.0.0.8"));
        check(true, &["x, 10.0.0.7"], Some("10.0.0.7"));
    }

    #[test]
    fn the_proxy_protocol_can_be_the_source() {
        let settings = DataPlaneSettings {
            real_ip_header: RealIpHeader::ProxyProtocol,
            ..DataPlaneSettings::default()
        };
        let preface = "192.0.2.1:5".parse().ok();
        assert_eq!(resolve(&settings, preface, std::iter::empty()), preface);
    }
}
