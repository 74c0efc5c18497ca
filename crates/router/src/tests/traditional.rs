//! The `traditional` flavour: cases of Kong's own tests, and a slow matcher that follows its steps over plain lists.

use proptest::prelude::*;
use regex::Regex;

use super::samples::{Sample, any_request, any_routes};
use super::{Builder, additions, found, get, peer, route, router};
use crate::{Flavor, HeaderRule, Request, RouteSpec, Router, Scheme};

const TRADITIONAL: Flavor = Flavor::Traditional;

#[test]
fn more_attributes_come_first() {
    let routes = [
        route(1).hosts(&["a.test"]),
        route(2).paths(&["/a"]).methods(&["GET"]),
    ];
    let router = router(TRADITIONAL, &routes);
    assert_eq!(found(&router, &get("a.test", "/a")), Some(2));
    assert_eq!(found(&router, &get("a.test", "/b")), Some(1));
}

#[test]
fn the_older_of_two_equal_routes_wins() {
    let routes = [
        route(1).paths(&["/a"]).created_at(9),
        route(2).paths(&["/a"]).created_at(3),
    ];
    let router = router(TRADITIONAL, &routes);
    assert_eq!(found(&router, &get("h", "/a")), Some(2));
}

#[test]
fn a_wildcard_with_a_port_beats_a_plain_host_and_the_default_port_is_the_schemes() {
    let routes = [
        route(1).hosts(&["route.*"]),
        route(2).hosts(&["route.*:123"]),
        route(3).hosts(&["route.*:80"]),
        route(4).hosts(&["route.*:443"]),
    ];
    let router = router(TRADITIONAL, &routes);
    assert_eq!(found(&router, &get("route.org:123", "/")), Some(2));
    assert_eq!(found(&router, &get("route.org", "/")), Some(3));
    assert_eq!(found(&router, &get("route.org:9", "/")), Some(1));
    let https = Request {
        scheme: Scheme::Https,
        ..get("route.org", "/")
    };
    assert_eq!(found(&router, &https), Some(4));
}

#[test]
fn a_plain_host_with_a_port_is_compared_as_it_is_written() {
    let router = router(
        TRADITIONAL,
        &[
            route(1).hosts(&["a.test:80"]),
            route(2).hosts(&["[::21]:321"]),
            route(3).hosts(&["::21"]),
        ],
    );
    assert_eq!(found(&router, &get("a.test:80", "/")), Some(1));
    assert_eq!(found(&router, &get("a.test", "/")), None);
    assert_eq!(found(&router, &get("[::21]:321", "/")), Some(2));
    assert_eq!(found(&router, &get("[::21]:654", "/")), Some(3));
    assert_eq!(found(&router, &get("[::21]", "/")), Some(3));
}

#[test]
fn a_regex_beats_a_longer_prefix_and_the_rest_of_the_path_is_left() {
    let routes = [
        route(1).paths(&["/users/1984/profile"]),
        route(2).paths(&[r"~/users/(?P<id>\d+)"]),
    ];
    let router = router(TRADITIONAL, &routes);
    let request = get("h", "/users/1984/profile");
    let found = router.find(&request).unwrap();
    assert_eq!(found.route.id.as_u128(), 2);
    assert_eq!(found.matched_len(), Some("/users/1984".len()));
    let captures = found.captures.unwrap();
    assert_eq!(
        (captures.number(1), captures.name("id")),
        (Some("1984"), Some("1984"))
    );
    assert_eq!(captures.name("uri_postfix"), None);
}

#[test]
fn a_plain_request_goes_to_the_category_of_what_it_hits_before_one_with_names() {
    let routes = [
        route(1)
            .hosts(&["a.test"])
            .snis(&["a.test"])
            .protocols(&["https"]),
        route(2).hosts(&["a.test"]),
    ];
    let both = router(TRADITIONAL, &routes);
    assert_eq!(found(&both, &get("a.test", "/")), Some(2));
    let alone = router(TRADITIONAL, &routes[..1]);
    assert_eq!(found(&alone, &get("a.test", "/")), Some(1));
    let https = Request {
        scheme: Scheme::Https,
        sni: Some("a.test"),
        ..get("a.test", "/")
    };
    assert_eq!(found(&both, &https), Some(1));
}

#[test]
fn a_header_pattern_counts_only_as_the_single_value() {
    let routes = [
        route(1).header("X-A", &["~*^v[0-9]$"]),
        route(2).header("X-B", &["~*^v[0-9]$", "w"]),
    ];
    let router = router(TRADITIONAL, &routes);
    let with = |lines: &[(&str, &str)]| {
        let request = Request {
            headers: &lines,
            ..get("h", "/")
        };
        found(&router, &request)
    };
    assert_eq!(with(&[("x-a", "V1")]), Some(1));
    assert_eq!(with(&[("x-b", "v1")]), None);
    assert_eq!(with(&[("x-b", "W")]), Some(2));
}

#[test]
fn stream_routes_match_addresses() {
    let routes = [
        route(1)
            .protocols(&["tcp"])
            .source(Some("10.0.0.0/24"), None)
            .destination(None, Some(5432)),
        route(2).protocols(&["tcp"]).destination(None, Some(5432)),
    ];
    let router = router(TRADITIONAL, &routes);
    let from = |source: &str| Request {
        scheme: Scheme::Tcp,
        source: source.parse().ok(),
        destination: Some(peer(1, 5432)),
        ..Request::http(b"", None, b"")
    };
    assert_eq!(found(&router, &from("10.0.0.9:1")), Some(1));
    assert_eq!(found(&router, &from("10.9.0.9:1")), Some(2));
}

/// A route with one of its paths.
struct Entry<'r> {
    spec: &'r RouteSpec,
    path: Option<&'r str>,
    number: usize,
}

struct Split {
    written: String,
    name: String,
    port: String,
}

/// The Host header, and its name and port as strings.
fn split(sample: &Sample) -> Option<Split> {
    let written = sample.host?.to_owned();
    let default = if sample.scheme == Scheme::Https {
        "443"
    } else {
        "80"
    };
    let pattern = Regex::new(r"^(?:\[(?<v6>.*)\]|(?<name>[^:]*))(?::(?<port>\d*))?$").unwrap();
    let (name, port) = match pattern.captures(&written) {
        Some(parts) => {
            let name = parts
                .name("v6")
                .or(parts.name("name"))
                .unwrap()
                .as_str()
                .to_owned();
            let port = parts.name("port").map_or("", |port| port.as_str());
            (
                name,
                if port.is_empty() { default } else { port }.to_owned(),
            )
        }
        None => (written.clone(), default.to_owned()),
    };
    Some(Split {
        written,
        name,
        port,
    })
}

fn wildcard_fits(pattern: &str, host: &Split) -> bool {
    let has_port = pattern.contains(':');
    let mut regex = format!("^{}$", regex::escape(pattern).replace(r"\*", ".+"));
    if !has_port {
        regex = regex.replace('$', r"(?::\d+)?$");
    }
    Regex::new(&regex)
        .unwrap()
        .is_match(&format!("{}:{}", host.name, host.port))
}

impl Entry<'_> {
    fn attributes(&self) -> u8 {
        let rare = self.spec.rare();
        [
            (0x40, !self.spec.hosts.is_empty()),
            (0x20, !rare.headers.is_empty()),
            (0x10, self.path.is_some()),
            (0x08, !rare.methods.is_empty()),
            (0x04, !rare.snis.is_empty()),
            (0x02, !rare.sources.is_empty()),
        ]
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(bit, _)| bit)
        .sum()
    }

    /// Smaller comes first.
    fn order(&self) -> impl Ord + use<> {
        let wild = |host: &str| host.contains('*');
        let hosts = &self.spec.hosts;
        let wildcard_port = hosts.iter().any(|host| wild(host) && host.contains(':'));
        let plain = !hosts.is_empty() && !hosts.iter().any(|host| wild(host));
        let regex = self.path.is_some_and(|path| path.starts_with('~'));
        let weight = u8::from(wildcard_port) << 2 | u8::from(plain) << 1 | u8::from(regex);
        let priority = if regex { self.spec.regex_priority } else { 0 };
        let length = if regex {
            0
        } else {
            self.path.map_or(0, str::len)
        };
        let headers = self.spec.rare().headers.len();
        let age = (self.spec.created_at, self.spec.id, self.number);
        (
            255 - weight,
            usize::MAX - headers,
            -priority,
            usize::MAX - length,
            age,
        )
    }

    fn host_fits(&self, host: Option<&Split>) -> bool {
        self.spec.hosts.is_empty()
            || host.is_some_and(|host| {
                self.spec.hosts.iter().any(|pattern| {
                    **pattern == *host.written
                        || **pattern == *host.name
                        || (pattern.contains('*') && wildcard_fits(pattern, host))
                })
            })
    }

    fn fits(&self, sample: &Sample, host: Option<&Split>) -> bool {
        let rare = self.spec.rare();
        let dotless = |sni: &str| sni.strip_suffix('.').unwrap_or(sni).to_owned();
        self.host_fits(host)
            && self.path.is_none_or(|path| path_fits(path, sample))
            && (rare.methods.is_empty()
                || rare.methods.iter().any(|method| **method == *sample.method))
            && rare.headers.iter().all(|rule| header_fits(rule, sample))
            && (rare.snis.is_empty()
                || sample.scheme == Scheme::Http
                || sample
                    .sni
                    .is_some_and(|name| rare.snis.iter().any(|sni| dotless(sni) == name)))
            && rare.sources.is_empty()
    }
}

fn path_fits(path: &str, sample: &Sample) -> bool {
    match path.strip_prefix('~') {
        Some(regex) => Regex::new(&format!("^(?:{regex})"))
            .unwrap()
            .is_match(sample.path),
        None => sample.path.starts_with(path),
    }
}

fn header_fits(rule: &HeaderRule, sample: &Sample) -> bool {
    let values = values_of(&rule.name, sample);
    values.iter().any(|value| {
        let pattern = rule.values[0]
            .strip_prefix("~*")
            .filter(|_| rule.values.len() == 1);
        rule.values
            .iter()
            .any(|wanted| wanted.to_lowercase() == *value)
            || pattern.is_some_and(|pattern| Regex::new(pattern).unwrap().is_match(value))
    })
}

fn values_of(name: &str, sample: &Sample) -> Vec<String> {
    let named = |name: String| -> Vec<String> {
        let lines = sample
            .headers
            .iter()
            .filter(|(line, _)| line.to_lowercase() == name);
        lines.map(|(_, value)| value.to_lowercase()).collect()
    };
    let as_written = named(name.to_lowercase());
    if as_written.is_empty() {
        named(name.to_lowercase().replace('_', "-"))
    } else {
        as_written
    }
}

fn slow_find(routes: &[Builder], sample: &Sample) -> Option<u128> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for Builder(spec) in routes {
        let paths = spec
            .paths
            .iter()
            .enumerate()
            .map(|(number, path)| (number, Some(&**path)));
        let none = spec.paths.is_empty().then_some((0, None));
        entries.extend(none.into_iter().chain(paths).map(|(number, path)| Entry {
            spec,
            path,
            number,
        }));
    }
    entries.retain(|entry| entry.attributes() != 0);
    entries.sort_by_key(Entry::order);
    let host = split(sample);
    let host = host.as_ref();

    // What the request hits anywhere.
    let plain_hit = host.is_some_and(|host| {
        let bracketed = host.written.ends_with(']');
        let with_port = match (host.written.starts_with('['), bracketed) {
            (true, true) => format!("{}:{}", host.written, host.port),
            (true, false) => host.written.clone(),
            _ => format!("{}:{}", host.name, host.port),
        };
        let plain = |pattern: &str| pattern == host.name || pattern == with_port;
        entries
            .iter()
            .any(|entry| entry.spec.hosts.iter().any(|pattern| plain(pattern)))
    });
    let all_hosts = || entries.iter().flat_map(|entry| entry.spec.hosts.iter());
    let wildcard = host.filter(|_| !plain_hit).and_then(|host| {
        all_hosts().find(|pattern| pattern.contains('*') && wildcard_fits(pattern, host))
    });
    let paths = || entries.iter().filter_map(|entry| entry.path);
    let regex = paths().find(|path| path.starts_with('~') && path_fits(path, sample));
    let prefixes = paths().filter(|path| !path.starts_with('~') && sample.path.starts_with(path));
    // An expression is known by its text, which may also be another route's prefix.
    let bare = |path: &'_ str| path.strip_prefix('~').unwrap_or(path).to_owned();
    let path_key = regex
        .or_else(|| prefixes.max_by_key(|path| path.len()))
        .map(bare);
    let any = |fits: &dyn Fn(&Entry<'_>) -> bool| entries.iter().any(fits);
    let dotless = |sni: &str| sni.strip_suffix('.').unwrap_or(sni).to_owned();
    let has_sni = |entry: &Entry<'_>| {
        sample.sni.is_some_and(|name| {
            entry
                .spec
                .rare()
                .snis
                .iter()
                .any(|sni| dotless(sni) == name)
        })
    };
    let has_method = |entry: &Entry<'_>| {
        entry
            .spec
            .rare()
            .methods
            .iter()
            .any(|method| **method == *sample.method)
    };
    let has_header = |entry: &Entry<'_>| {
        entry
            .spec
            .rare()
            .headers
            .iter()
            .any(|rule| !values_of(&rule.name, sample).is_empty())
    };
    let hit = [
        (0x40, plain_hit || wildcard.is_some()),
        (0x20, any(&has_header)),
        (0x10, path_key.is_some()),
        (0x08, any(&has_method)),
        (0x04, any(&has_sni)),
    ];
    let hit: u8 = hit
        .into_iter()
        .filter(|(_, hit)| *hit)
        .map(|(bit, _)| bit)
        .sum();

    let mut categories: Vec<u8> = entries.iter().map(Entry::attributes).collect();
    categories.sort_by_key(|bits| std::cmp::Reverse((bits.count_ones(), *bits)));
    categories.dedup();
    let first = categories.iter().position(|bits| *bits == hit).unwrap_or(0);
    for bits in &categories[first..] {
        let members: Vec<&Entry<'_>> = entries
            .iter()
            .filter(|entry| entry.attributes() == *bits)
            .collect();
        let written = host.map(|host| host.written.as_str());
        let host_key = wildcard.map(|pattern| &**pattern).or(written);
        let list = |key: &dyn Fn(&Entry<'_>) -> bool| -> Vec<&Entry<'_>> {
            members.iter().copied().filter(|entry| key(entry)).collect()
        };
        let lists = [
            list(&|entry| {
                host_key.is_some_and(|key| entry.spec.hosts.iter().any(|host| **host == *key))
            }),
            list(&|entry| path_key.is_some() && entry.path.map(bare) == path_key),
            list(&has_method),
            list(&has_sni),
        ];
        let shortest = lists
            .into_iter()
            .filter(|list| !list.is_empty() && bits & 0x20 == 0)
            .min_by_key(Vec::len);
        let in_order = shortest.into_iter().flatten().chain(members);
        if let Some(entry) = in_order.into_iter().find(|entry| entry.fits(sample, host)) {
            return Some(entry.spec.id.as_u128());
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_kongs_steps(
        routes in any_routes(),
        requests in proptest::collection::vec(any_request(), 1..12),
    ) {
        let (router, _) = Router::new(TRADITIONAL).update(additions(&routes));
        for sample in &requests {
            let expected = slow_find(&routes, sample);
            prop_assert_eq!(sample.with(|request| found(&router, request)), expected, "{:?}", sample);
        }
    }
}
