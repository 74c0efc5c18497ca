//! The index against a matcher written straight from the rules: try every route, keep the best.

use proptest::prelude::*;
use regex::Regex;

use super::samples::{Sample, any_request, any_routes};
use super::{Builder, additions, found};
use crate::compiled::{group_paths, split_id};
use crate::host::split_port;
use crate::priority::http_priority;
use crate::{AddressRule, Flavor, HeaderRule, Router, Scheme};

fn name_fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

fn host_fits(pattern: &str, sample: &Sample) -> bool {
    let Some(host) = sample.host else {
        return false;
    };
    let (name, port) = split_port(host.as_bytes());
    let (pattern, wanted) = split_port(pattern.as_bytes());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let port = port.unwrap_or(sample.destination.port().into());
    name_fits(&text(pattern), &text(name)) && wanted.is_none_or(|wanted| wanted == port)
}

fn path_fits(path: &str, sample: &Sample) -> bool {
    match path.strip_prefix('~') {
        Some(regex) => Regex::new(&format!("^{regex}"))
            .unwrap()
            .is_match(sample.path),
        None => sample.path.starts_with(path),
    }
}

fn header_fits(rule: &HeaderRule, sample: &Sample) -> bool {
    let underscored = rule.name.to_lowercase().replace('-', "_");
    let named = |name: &str| -> Vec<String> {
        let lines = sample
            .headers
            .iter()
            .filter(|(line, _)| line.to_lowercase() == name);
        lines.map(|(_, value)| value.to_lowercase()).collect()
    };
    let mut values = named(&underscored);
    if values.is_empty() {
        values = named(&underscored.replace('_', "-"));
    }
    values.iter().any(|value| {
        rule.values
            .iter()
            .any(|wanted| match wanted.to_lowercase().strip_prefix("~*") {
                Some(pattern) => Regex::new(pattern).unwrap().is_match(value),
                None => *value == wanted.to_lowercase(),
            })
    })
}

fn fits(Builder(spec): &Builder, paths: &[&str], sample: &Sample) -> bool {
    let rare = spec.rare();
    let sni_fits = |sni: &str| {
        let sni = sni.strip_suffix('.').unwrap_or(sni);
        sample.sni.is_some_and(|name| name_fits(sni, name))
    };
    let source_fits = |rule: &AddressRule| match rule {
        AddressRule::Exact(address) => *address == sample.source.ip(),
        AddressRule::Network(network) => network.contains(&sample.source.ip()),
    };
    let any = |empty: bool, fits: bool| empty || fits;
    any(
        spec.hosts.is_empty(),
        spec.hosts.iter().any(|host| host_fits(host, sample)),
    ) && any(
        paths.is_empty(),
        paths.iter().any(|path| path_fits(path, sample)),
    ) && any(
        rare.methods.is_empty(),
        rare.methods.iter().any(|method| **method == *sample.method),
    ) && rare.headers.iter().all(|rule| header_fits(rule, sample))
        && any(
            rare.snis.is_empty() || sample.scheme != Scheme::Https,
            rare.snis.iter().any(|sni| sni_fits(sni)),
        )
        && any(
            rare.sources.is_empty(),
            rare.sources
                .iter()
                .filter_map(|source| source.address.as_ref())
                .any(source_fits),
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_trying_every_route(
        routes in any_routes(),
        requests in proptest::collection::vec(any_request(), 1..12),
    ) {
        let (router, _) = Router::new(Flavor::TraditionalCompatible).update(additions(&routes));
        for sample in &requests {
            let mut best = None;
            for route in &routes {
                let mut groups = group_paths(&route.0.paths);
                let split = groups.len() > 1;
                let empty = groups.is_empty() && fits(&super::route(1), &[], sample) && is_empty(route);
                if groups.is_empty() {
                    groups.push(Vec::new());
                }
                for (number, paths) in groups.iter().enumerate() {
                    let id = if split { split_id(route.0.id, number + 1) } else { route.0.id };
                    if !empty && fits(route, paths, sample) {
                        best = best.max(Some((http_priority(&route.0, paths), id, route.0.id.as_u128())));
                    }
                }
            }
            let expected = best.map(|(_, _, route)| route);
            prop_assert_eq!(sample.with(|request| found(&router, request)), expected, "{:?}", sample);
        }
    }
}

/// A route without anything to match is refused.
fn is_empty(Builder(spec): &Builder) -> bool {
    let rare = spec.rare();
    spec.hosts.is_empty()
        && spec.paths.is_empty()
        && rare.methods.is_empty()
        && rare.headers.is_empty()
        && rare.snis.is_empty()
        && rare.sources.is_empty()
}
