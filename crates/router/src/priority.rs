//! Which route comes first: the order of the `traditional_compatible` and `expressions` flavours.

use uuid::Uuid;

use crate::spec::{AddressRule, Endpoint, RouteSpec};

/// The greater wins; routes of equal priority are told apart by id, as in Kong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) priority: u64,
    pub(crate) id: Uuid,
}

/// An expression comes before every route without one.
const EXPRESSION: u64 = 0xff << 56;

/// The priority of a route whose paths are all regular expressions, or prefixes of one length.
///
/// Compat: Kong 3.9 means to compare, in this order, the number of attributes, hosts without wildcards, the number
/// of headers, regular expressions, `regex_priority` and the length of the path. Its 64-bit shifts work on Lua
/// numbers, though, and LuaJIT shifts those within 32 bits, so that in a running Kong "no wildcard host" and
/// "regular expression" outweigh the number of attributes, and the header count shares its bits with
/// `regex_priority`. Routes move between gateways as they are, so what runs is what is done here. Where those
/// shifts overflow (four attributes and more, a `regex_priority` beyond twelve bits) Kong's result is the top of
/// the order and depends on its compiler; such routes are ordered here as Kong means it.
pub(crate) fn http_priority(spec: &RouteSpec, paths: &[&str]) -> u64 {
    let rare = spec.rare();
    if rare.expression.is_some() {
        return EXPRESSION | rare.priority;
    }
    let attributes = [
        !rare.sources.is_empty(),
        !rare.destinations.is_empty(),
        !rare.methods.is_empty(),
        !spec.hosts.is_empty(),
        !rare.headers.is_empty(),
        !rare.snis.is_empty(),
        !paths.is_empty(),
    ];
    let attributes = attributes.into_iter().map(u64::from).sum::<u64>();
    let plain_hosts =
        u64::from(!spec.hosts.is_empty() && spec.hosts.iter().all(|host| !host.contains('*')));
    let headers = rare.headers.len().min(255) as u64;
    let regex = paths.first().is_some_and(|path| path.starts_with('~'));
    let regex_priority = if regex { spec.regex_priority } else { 0 };
    let length = match paths.first() {
        Some(path) if !regex => path.len() as u64 & 0x7_ffff,
        _ => 0,
    };
    let overflows = attributes >= 4 || !(0..1 << 12).contains(&regex_priority);
    let regex_priority = u64::try_from(regex_priority)
        .unwrap_or(0)
        .min(u64::from(u32::MAX));
    if overflows {
        attributes.max(4) << 61
            | plain_hosts << 60
            | headers << 52
            | u64::from(regex) << 51
            | regex_priority << 19
            | length
    } else {
        plain_hosts << 60
            | u64::from(regex) << 51
            | attributes << 29
            | headers << 20
            | regex_priority << 19
            | length
    }
}

/// The priority of a route of the stream proxy: names, then addresses, ports and networks.
pub(crate) fn stream_priority(spec: &RouteSpec) -> u64 {
    let rare = spec.rare();
    if rare.expression.is_some() {
        return EXPRESSION | rare.priority;
    }
    let both_ends = !rare.sources.is_empty() && !rare.destinations.is_empty();
    let named = u64::from(!rare.snis.is_empty() || both_ends);
    named << 61 | endpoints_weight(&rare.sources) << 4 | endpoints_weight(&rare.destinations)
}

fn endpoints_weight(endpoints: &[Endpoint]) -> u64 {
    endpoints.iter().fold(0, |weight, endpoint| {
        let address = match endpoint.address {
            Some(AddressRule::Exact(_)) => 1 << 3,
            Some(AddressRule::Network(_)) => 1,
            None => 0,
        };
        weight | address | u64::from(endpoint.port.is_some()) << 2
    })
}
