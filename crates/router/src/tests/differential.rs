//! The index against Kong's own matcher, which tries expressions one after the other.

use std::collections::HashMap;

use atc_router::ast::Value;
use atc_router::context::Context;
use atc_router::router::Router as Matcher;
use atc_router::schema::Schema;
use proptest::prelude::*;
use uuid::Uuid;

use super::samples::{Sample, any_request, any_routes};
use super::{Builder, additions};
use crate::compiled::{group_paths, split_id};
use crate::expression::fields_of_http;
use crate::host::split_port;
use crate::priority::http_priority;
use crate::spec::AddressRule;
use crate::{Flavor, RouteSpec, Router};

/// A text literal.
fn raw(text: &str) -> String {
    format!("r#\"{text}\"#")
}

fn any_of(parts: Vec<String>) -> Option<String> {
    (!parts.is_empty()).then(|| format!("({})", parts.join(" || ")))
}

fn wildcard(field: &str, name: &str) -> String {
    if let Some(end) = name.strip_prefix('*') {
        format!("{field} =^ {}", raw(end))
    } else if let Some(start) = name.strip_suffix('*') {
        format!("{field} ^= {}", raw(start))
    } else {
        format!("{field} == {}", raw(name))
    }
}

/// The expression that Kong puts in the place of a route's fields.
fn expression(spec: &RouteSpec, paths: &[&str], compares_protocols: bool) -> String {
    let rare = spec.rare();
    let mut conjuncts = Vec::new();
    let snis = rare
        .snis
        .iter()
        .map(|sni| wildcard("tls.sni", sni.strip_suffix('.').unwrap_or(sni)));
    if let Some(snis) = any_of(snis.collect()) {
        conjuncts.push(format!("(net.protocol != {} || {snis})", raw("https")));
    }
    for (end, endpoints) in [("src", &rare.sources), ("dst", &rare.destinations)] {
        let endpoints = endpoints.iter().map(|endpoint| match endpoint.address {
            Some(AddressRule::Exact(address)) => format!("net.{end}.ip == {address}"),
            Some(AddressRule::Network(network)) => format!("net.{end}.ip in {network}"),
            None => format!("net.{end}.port == {}", endpoint.port.unwrap_or_default()),
        });
        conjuncts.extend(any_of(endpoints.collect()));
    }
    conjuncts.extend(any_of(
        rare.methods
            .iter()
            .map(|method| format!("http.method == {}", raw(method)))
            .collect(),
    ));
    let hosts = spec.hosts.iter().map(|host| {
        let (name, port) = split_port(host.as_bytes());
        let name = wildcard("http.host", std::str::from_utf8(name).unwrap());
        match port {
            Some(port) => format!("({name} && net.dst.port == {port})"),
            None => name,
        }
    });
    conjuncts.extend(any_of(hosts.collect()));
    let paths = paths.iter().map(|path| match path.strip_prefix('~') {
        Some(regex) => format!(
            "http.path ~ {}",
            raw(&format!("^{}", regex.replace("?<", "?P<")))
        ),
        None => format!("http.path ^= {}", raw(path)),
    });
    conjuncts.extend(any_of(paths.collect()));
    for header in &rare.headers {
        let field = format!(
            "any(lower(http.headers.{}))",
            header.name.to_lowercase().replace('-', "_")
        );
        let values = header
            .values
            .iter()
            .map(|value| match value.strip_prefix("~*") {
                Some(pattern) => format!("{field} ~ {}", raw(&pattern.to_lowercase())),
                None => format!("{field} == {}", raw(&value.to_lowercase())),
            });
        conjuncts.extend(any_of(values.collect()));
    }
    let names: Vec<_> = spec
        .protocols
        .iter()
        .map(|protocol| protocol.name())
        .collect();
    if compares_protocols && names != ["https"] {
        let compared = |name: &&str| format!("net.protocol == {}", raw(name));
        conjuncts.extend(any_of(names.iter().map(compared).collect()));
    }
    conjuncts.join(" && ")
}

fn header_values<'s>(sample: &'s Sample, name: &str) -> Vec<&'s str> {
    let named = |wanted: &str| -> Vec<&'s str> {
        let lines = sample
            .headers
            .iter()
            .filter(|(line, _)| line.eq_ignore_ascii_case(wanted));
        lines.map(|(_, value)| *value).collect()
    };
    let as_written = named(name);
    if as_written.is_empty() {
        named(&name.replace('_', "-"))
    } else {
        as_written
    }
}

/// The values of `http.path.segments.*` as Kong takes the path apart.
fn segments(field: &str, path: &str) -> Vec<Value> {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    while parts.last() == Some(&"") {
        parts.pop();
    }
    let range = field.strip_prefix("http.path.segments.").unwrap();
    if range == "len" {
        return vec![Value::Int(i64::try_from(parts.len()).unwrap())];
    }
    let ends: Vec<usize> = range.split('_').map(|end| end.parse().unwrap()).collect();
    let found = match ends[..] {
        [only] => parts.get(only).map(|part| (*part).to_owned()),
        [first, last] => parts.get(first..=last).map(|parts| parts.join("/")),
        _ => None,
    };
    found.map(Value::String).into_iter().collect()
}

fn fill(context: &mut Context<'_>, fields: &HashMap<String, usize>, sample: &Sample) {
    let (host, port) = match sample.host.map(|host| split_port(host.as_bytes())) {
        Some((host, port)) => (std::str::from_utf8(host).ok(), port),
        None => (None, None),
    };
    let text = |text: &str| Value::String(text.to_owned());
    for field in fields.keys() {
        let values: Vec<Value> = match field.as_str() {
            "http.method" => vec![text(sample.method)],
            "http.host" => host.map(text).into_iter().collect(),
            "http.path" => vec![text(sample.path)],
            "net.protocol" => vec![text(sample.scheme.name())],
            "tls.sni" => sample.sni.map(text).into_iter().collect(),
            "net.src.ip" => vec![Value::IpAddr(sample.source.ip())],
            "net.dst.ip" => vec![Value::IpAddr(sample.destination.ip())],
            "net.src.port" => vec![Value::Int(sample.source.port().into())],
            "net.dst.port" => vec![Value::Int(
                port.unwrap_or(sample.destination.port().into()).into(),
            )],
            other => match other.strip_prefix("http.headers.") {
                Some(name) => header_values(sample, name).into_iter().map(text).collect(),
                None => segments(other, sample.path),
            },
        };
        for value in values {
            context.add_value(field, value);
        }
    }
}

/// The route, the length of the matched part of the path, and the captures if there are groups.
type Decision = (u128, Option<usize>, Vec<(String, String)>);

struct Oracle<'s> {
    matcher: Matcher<'s>,
    schema: &'s Schema,
    owners: HashMap<Uuid, u128>,
}

impl<'s> Oracle<'s> {
    fn new(schema: &'s Schema, routes: &[Builder], compares_protocols: bool) -> Self {
        let mut this = Self {
            matcher: Matcher::new(schema),
            schema,
            owners: HashMap::new(),
        };
        for Builder(spec) in routes {
            let mut groups = group_paths(&spec.paths);
            let split = groups.len() > 1;
            if groups.is_empty() || spec.rare().expression.is_some() {
                groups = vec![Vec::new()];
            }
            for (number, paths) in groups.iter().enumerate() {
                let text = match &spec.rare().expression {
                    Some(text) => text.to_string(),
                    None => expression(spec, paths, compares_protocols),
                };
                let id = if split {
                    split_id(spec.id, number + 1)
                } else {
                    spec.id
                };
                let priority = usize::try_from(http_priority(spec, paths)).unwrap();
                this.owners.insert(id, spec.id.as_u128());
                this.matcher.add_matcher(priority, id, &text).unwrap();
            }
        }
        this
    }

    fn find(&self, sample: &Sample) -> Option<Decision> {
        let mut context = Context::new(self.schema);
        fill(&mut context, &self.matcher.fields, sample);
        if !self.matcher.execute(&mut context) {
            return None;
        }
        let result = context.result.unwrap();
        let path = match result.matches.get("http.path") {
            Some(Value::String(matched)) => Some(matched.len()),
            _ => None,
        };
        let mut captures: Vec<_> = result.captures.into_iter().collect();
        captures.sort();
        if captures.len() < 2 {
            captures.clear();
        }
        Some((self.owners[&result.uuid], path, captures))
    }
}

fn ours(router: &Router<RouteSpec>, sample: &Sample) -> Option<Decision> {
    sample.with(|request| {
        let found = router.find(request)?;
        let mut captures = Vec::new();
        if let Some(caught) = &found.captures {
            let numbered = caught.numbered().iter().enumerate();
            captures
                .extend(numbered.filter_map(|(n, value)| Some((n.to_string(), value.clone()?))));
            captures.extend(caught.named().iter().cloned());
            captures.sort();
        }
        Some((found.route.id.as_u128(), found.matched_len(), captures))
    })
}

/// Routes that a record could hold: something to match, and ids of their own.
fn matching_routes() -> impl Strategy<Value = Vec<Builder>> {
    any_routes().prop_map(|routes| {
        let full = |route: &Builder| {
            let rare = route.0.rare();
            !route.0.hosts.is_empty()
                || !route.0.paths.is_empty()
                || !rare.methods.is_empty()
                || !rare.headers.is_empty()
                || !rare.snis.is_empty()
                || !rare.sources.is_empty()
        };
        routes.into_iter().filter(full).collect()
    })
}

fn with_expressions() -> impl Strategy<Value = Vec<Builder>> {
    let texts = &[
        r#"http.host == "a.test" && http.path ^= "/a""#,
        r#"http.path == "/a/b" || http.path ^= "/b""#,
        r#"(http.host == "a.test" || http.host =^ ".test") && http.method == "GET""#,
        r##"http.path ~ r#"^/(?P<first>[a-z]+)/b"# && net.protocol == "https""##,
        r#"any(lower(http.headers.x_a)) == "one" && !(http.path ^= "/a/b")"#,
        r#"http.headers.x_b != "one""#,
        r#"lower(http.path) ^= "/a/b" && net.dst.port >= 443"#,
        r#"net.src.ip in 10.0.0.0/30 && http.path contains "b""#,
        r#"net.src.ip not in 10.0.0.0/31 && tls.sni == "a.test""#,
        r#"http.path.segments.0 == "a" && http.path.segments.len > 1"#,
        r#"http.path.segments.1_2 == "b/c" || http.host != "b.test" && http.method != "PUT""#,
        r#"http.path =^ "/b" && http.path ^= "/""#,
    ];
    let expression = (
        1000u128..2000,
        proptest::sample::select(&texts[..]),
        0u64..3,
    )
        .prop_map(|(id, text, priority)| super::route(id).expression(text, priority));
    (
        matching_routes(),
        proptest::collection::vec(expression, 0..8),
    )
        .prop_map(|(mut routes, mut more)| {
            more.sort_by_key(|route| route.0.id);
            more.dedup_by_key(|route| route.0.id);
            routes.extend(more);
            routes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_atc_router_on_compatible_routes(
        routes in matching_routes(),
        requests in proptest::collection::vec(any_request(), 1..12),
    ) {
        let schema = fields_of_http();
        let oracle = Oracle::new(&schema, &routes, false);
        let (router, rejected) = Router::new(Flavor::TraditionalCompatible).update(additions(&routes));
        prop_assert_eq!(rejected, []);
        for request in &requests {
            prop_assert_eq!(ours(&router, request), oracle.find(request), "{:?}", request);
        }
    }

    #[test]
    fn agrees_with_atc_router_on_expressions(
        routes in with_expressions(),
        requests in proptest::collection::vec(any_request(), 1..12),
    ) {
        let schema = fields_of_http();
        let oracle = Oracle::new(&schema, &routes, true);
        let mut plain = routes.clone();
        // What is compared of protocols is part of the expression above; a route for https alone compares nothing.
        for route in plain.iter_mut().filter(|route| route.0.rare().expression.is_some()) {
            *route = route.clone().protocols(&["https"]);
        }
        let (router, rejected) = Router::new(Flavor::Expressions).update(additions(&plain));
        prop_assert_eq!(rejected, []);
        for request in &requests {
            prop_assert_eq!(ours(&router, request), oracle.find(request), "{:?}", request);
        }
    }
}
