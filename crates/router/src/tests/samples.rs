//! Random routes and requests that meet often.

use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{Builder, peer, route};
use crate::{Request, Scheme};

const HOSTS: &[&str] = &[
    "a.test",
    "b.test",
    "x.a.test",
    "*.test",
    "*.a.test",
    "a.*",
    "x.*",
    "a.test:8000",
    "*.a.test:80",
    "a.*:8000",
    "[::1]",
];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/b",
    "/b/%2F",
    "/a/b/c",
    "~/a",
    "~/a/(?<n>[a-z]+)",
    r"~/(a|b)/b",
    "~/b$",
    "~/a/b|/b",
    "~/(?i)A/b",
    "~/a/b$",
    "~/a$",
];
const METHODS: &[&str] = &["GET", "POST", "PUT"];
const SNIS: &[&str] = &["a.test", "b.test.", "*.test", "a.*"];
const VALUES: &[&str] = &["1", "One", "~*^o", "~*[0-9]$"];

fn some(list: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(Vec::new()), 3 => subsequence(list, 0..=most)]
}

fn priority() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0i64..4, 1 => select(&[-1, 4095, 4096, 100_000][..])]
}

/// A route of the traditional fields with an id below 1000; it may have nothing to match.
pub(super) fn any_route() -> impl Strategy<Value = Builder> {
    let header = (
        select(&["x-a", "X_A", "X-B"][..]),
        subsequence(VALUES, 1..=2),
    );
    let addresses = subsequence(&["10.0.0.1", "10.0.0.0/30", "10.0.0.3/32"][..], 0..=1);
    let fields = (
        1u128..1000,
        some(HOSTS, 3),
        some(PATHS, 4),
        some(METHODS, 2),
        some(SNIS, 2),
        proptest::collection::vec(header, 0..=2),
        prop_oneof![4 => Just(Vec::new()), 1 => addresses],
        priority(),
        0i64..5,
    );
    fields.prop_map(
        |(id, hosts, paths, methods, snis, headers, sources, priority, created)| {
            let mut made = route(id)
                .hosts(&hosts)
                .paths(&paths)
                .regex_priority(priority)
                .created_at(created);
            if !methods.is_empty() {
                made = made.methods(&methods);
            }
            if !snis.is_empty() {
                made = made.snis(&snis).protocols(&["https"]);
            }
            for (name, values) in headers {
                let known = made
                    .0
                    .rare()
                    .headers
                    .iter()
                    .any(|rule| same_header(&rule.name, name));
                if !known {
                    made = made.header(name, &values);
                }
            }
            for source in sources {
                made = made.source(Some(source), None);
            }
            made
        },
    )
}

fn same_header(a: &str, b: &str) -> bool {
    a.to_lowercase().replace('-', "_") == b.to_lowercase().replace('-', "_")
}

/// Routes with ids of their own.
pub(super) fn any_routes() -> impl Strategy<Value = Vec<Builder>> {
    proptest::collection::vec(any_route(), 1..14).prop_map(|mut routes| {
        routes.sort_by_key(|route| route.0.id);
        routes.dedup_by_key(|route| route.0.id);
        routes
    })
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) scheme: Scheme,
    pub(super) method: &'static str,
    pub(super) host: Option<&'static str>,
    pub(super) path: &'static str,
    pub(super) query: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) sni: Option<&'static str>,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

impl Sample {
    /// Runs a test on the request.
    pub(super) fn with<R>(&self, test: impl FnOnce(&Request<'_>) -> R) -> R {
        test(&Request {
            scheme: self.scheme,
            method: self.method.as_bytes(),
            host: self.host.map(str::as_bytes),
            path: self.path.as_bytes(),
            query: self.query.as_bytes(),
            headers: &self.headers.as_slice(),
            sni: self.sni,
            source: Some(self.source),
            destination: Some(self.destination),
        })
    }
}

pub(super) fn any_request() -> impl Strategy<Value = Sample> {
    let host = select(
        &[
            "a.test",
            "b.test",
            "x.a.test",
            "x.a.test:80",
            "a.test:8000",
            "a.org",
            "a.org:8000",
            "x.y",
            "test",
            ".test",
            "[::1]",
            "[::1]:80",
            "a.test:",
        ][..],
    );
    let path = select(
        &[
            "/", "/a", "/a/", "/a/b", "/a/b/c/d", "/ab", "/b", "/b/b", "/b/%2F/x", "/A/B", "/c/b",
            "",
        ][..],
    );
    let header = select(
        &[
            ("X-A", "1"),
            ("x-a", "ONE"),
            ("x_a", "one"),
            ("X-B", "one"),
            ("x-b", "x9"),
            ("x-b", "2"),
            ("X-C", "1"),
        ][..],
    );
    let fields = (
        select(&[Scheme::Http, Scheme::Https][..]),
        select(METHODS),
        proptest::option::weighted(0.9, host),
        path,
        select(&["", "q=1", "q=%6f&q=2&flag", "q=a+b"][..]),
        proptest::collection::vec(header, 0..=3),
        proptest::option::of(select(&["a.test", "b.test", "x.test", "a.org"][..])),
        (0u8..6, 1u16..3).prop_map(|(last, port)| peer(last, port)),
        select(&[80u16, 443, 8000][..]).prop_map(|port| peer(9, port)),
    );
    fields.prop_map(
        |(scheme, method, host, path, query, headers, sni, source, destination)| Sample {
            scheme,
            method,
            host,
            path,
            query,
            headers,
            sni,
            source,
            destination,
        },
    )
}
