//! Who the client is, when trusted proxies stand between it and us.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::settings::{DataPlaneSettings, RealIpHeader};

/// Whether `peer` is one of the proxies that `trusted_ips` names.
pub fn is_trusted(trusted: &[IpNet], peer: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&peer))
}

/// The address that stands for the client from here on, with a port when one is known.
///
/// `peer` is who connected, `preface` who the PROXY protocol said is behind it, `values` the values of the real-IP header.
/// Only a trusted peer is believed. With several addresses the last one counts, or with `real_ip_recursive`
/// the last one that is not itself trusted.
pub fn resolve<'a>(
    settings: &DataPlaneSettings,
    peer: SocketAddr,
    preface: Option<SocketAddr>,
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> SocketAddr {
    if !is_trusted(&settings.trusted_ips, peer.ip()) {
        return peer;
    }
    match &settings.real_ip_header {
        RealIpHeader::ProxyProtocol => preface.unwrap_or(peer),
        RealIpHeader::Named(_) => {
            let mut found = peer;
            let addresses = values
                .rev()
                .flat_map(|value| value.rsplit(|byte| *byte == b','));
            for text in addresses {
                let Some(address) = parse_address(text) else {
                    break;
                };
                found = address;
                if !settings.real_ip_recursive || !is_trusted(&settings.trusted_ips, address.ip()) {
                    break;
                }
            }
            found
        }
    }
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

    fn check(trusted: &[&str], recursive: bool, values: &[&str], expected: &str) {
        let settings = DataPlaneSettings {
            trusted_ips: trusted
                .iter()
                .map(|net| net.parse().expect("a network"))
                .collect(),
            real_ip_recursive: recursive,
            ..DataPlaneSettings::default()
        };
        let peer = "10.0.0.1:999".parse().expect("an address");
        let found = resolve(
            &settings,
            peer,
            None,
            values.iter().map(|value| value.as_bytes()),
        );
        assert_eq!(
            found.ip().to_string(),
            expected,
            "{trusted:?} {recursive} {values:?}"
        );
    }

    #[test]
    fn only_a_trusted_peer_can_name_the_client() {
        check(&[], false, &["203.0.113.9"], "10.0.0.1");
        check(&["10.0.0.0/8"], false, &["203.0.113.9"], "203.0.113.9");
        check(&["10.0.0.0/8"], false, &["203.0.113.9:81"], "203.0.113.9");
        check(&["10.0.0.0/8"], false, &["[2001:db8::1]:81"], "2001:db8::1");
        check(&["10.0.0.0/8"], false, &["nonsense"], "10.0.0.1");
        check(&["10.0.0.0/8"], false, &[], "10.0.0.1");
    }

    #[test]
    fn of_several_addresses_the_last_one_counts_or_the_last_untrusted_one() {
        check(
            &["10.0.0.0/8"],
            false,
            &["203.0.113.9, 10.0.0.7"],
            "10.0.0.7",
        );
        check(
            &["10.0.0.0/8"],
            true,
            &["203.0.113.9, 10.0.0.7"],
            "203.0.113.9",
        );
        check(
            &["10.0.0.0/8"],
            true,
            &["203.0.113.9", "10.0.0.7"],
            "203.0.113.9",
        );
        check(
            &["0.0.0.0/0"],
            true,
            &["203.0.113.8, 203.0.113.9"],
            "203.0.113.8",
        );
        check(&["10.0.0.0/8"], true, &["x, 10.0.0.7"], "10.0.0.7");
    }

    #[test]
    fn the_proxy_protocol_can_be_the_source() {
        let settings = DataPlaneSettings {
            trusted_ips: vec!["10.0.0.0/8".parse().expect("a network")],
            real_ip_header: RealIpHeader::ProxyProtocol,
            ..DataPlaneSettings::default()
        };
        let peer = "10.0.0.1:999".parse().expect("an address");
        let preface = "192.0.2.1:5".parse().ok();
        assert_eq!(
            resolve(&settings, peer, preface, std::iter::empty()),
            "192.0.2.1:5".parse().expect("an address")
        );
    }
}
