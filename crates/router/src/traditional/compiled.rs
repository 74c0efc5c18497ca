//! A route in the form of the `traditional` flavour: one entry a path.

use std::cmp::Reverse;
use std::sync::Arc;

use uuid::Uuid;

use crate::Error;
use crate::compiled::Place;
use crate::conditions::{Conditions, HeaderCondition, NamePattern, SniCompared};
use crate::host::{HostKey, Port, split_port};
use crate::pattern::{self, PathPattern, PathRule};
use crate::spec::{RareRules, RouteSpec};
use crate::tree::MAX_KEY;

/// The set of attributes that a route has or a request hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attributes(u8);

impl Attributes {
    pub(crate) const HOST: Self = Self(0x40);
    pub(crate) const HEADER: Self = Self(0x20);
    pub(crate) const PATH: Self = Self(0x10);
    pub(crate) const METHOD: Self = Self(0x08);
    pub(crate) const SNI: Self = Self(0x04);
    pub(crate) const SOURCE: Self = Self(0x02);
    pub(crate) const DESTINATION: Self = Self(0x01);

    pub(crate) fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    pub(crate) fn add(&mut self, one: Self, when: bool) {
        if when {
            self.0 |= one.0;
        }
    }

    /// More attributes come first; of equally many, the weightier.
    pub(crate) fn comes_before(self, other: Self) -> bool {
        (self.0.count_ones(), self.0) > (other.0.count_ones(), other.0)
    }
}

/// The order within a category; the greater comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    wildcard_with_port: bool,
    plain_hosts: bool,
    pub(crate) regex: bool,
    headers: usize,
    regex_priority: i64,
    path_len: usize,
    age: Reverse<i64>,
    id: Reverse<Uuid>,
    number: Reverse<usize>,
}

/// One entry: the route with one of its paths.
pub(crate) struct Compiled {
    pub(crate) rank: Rank,
    pub(crate) attributes: Attributes,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) places: Vec<Place>,
    /// The path with a rule that is complete without the index.
    pub(crate) path: Option<(Box<str>, Arc<PathPattern>)>,
    pub(crate) hosts: Vec<HostRule>,
    pub(crate) methods: Vec<Box<str>>,
    pub(crate) snis: Vec<Box<str>>,
    pub(crate) header_names: Vec<Box<str>>,
}

/// A host of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostRule {
    /// As it is written.
    pub(crate) text: Arc<str>,
    pub(crate) key: HostKey,
    /// Asked for with a wildcard only; a plain host is compared as it is written.
    pub(crate) port: Option<Port>,
}

impl HostRule {
    pub(crate) fn parse(text: &str) -> Self {
        let (key, port) = if text.contains('*') {
            let (host, port) = split_port(text.as_bytes());
            (HostKey::parse(host), port)
        } else {
            (HostKey::Exact(text.as_bytes().into()), None)
        };
        Self {
            text: text.into(),
            key,
            port,
        }
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        !matches!(self.key, HostKey::Exact(_))
    }

    /// Whether the request's host, split into name and port, fits a wildcard.
    pub(crate) fn fits(&self, name: &[u8], port: Option<Port>) -> bool {
        let name_fits = match &self.key {
            HostKey::Suffix(end) => name.len() > end.len() && name.ends_with(end),
            HostKey::Prefix(start) => name.len() > start.len() && name.starts_with(start),
            HostKey::Exact(_) | HostKey::Any => false,
        };
        name_fits && (self.port.is_none() || self.port == port)
    }
}

pub(crate) fn compile(spec: &RouteSpec) -> Result<Vec<Compiled>, Error> {
    let rare = spec.rare();
    let hosts: Vec<HostRule> = spec
        .hosts
        .iter()
        .map(|host| HostRule::parse(host))
        .collect();
    if let Some(long) = spec.hosts.iter().find(|host| host.len() >= MAX_KEY) {
        return Err(Error::HostTooLong(long.to_string()));
    }
    let mut attributes = Attributes::default();
    attributes.add(Attributes::HOST, !hosts.is_empty());
    attributes.add(Attributes::HEADER, !rare.headers.is_empty());
    attributes.add(Attributes::PATH, !spec.paths.is_empty());
    attributes.add(Attributes::METHOD, !rare.methods.is_empty());
    attributes.add(Attributes::SNI, !rare.snis.is_empty());
    attributes.add(Attributes::SOURCE, !rare.sources.is_empty());
    attributes.add(Attributes::DESTINATION, !rare.destinations.is_empty());
    if attributes == Attributes::default() {
        return Err(Error::Empty);
    }
    let entry = |number: usize, path: Option<&str>| {
        let regex = path.and_then(|path| path.strip_prefix('~'));
        let rank = Rank {
            wildcard_with_port: hosts
                .iter()
                .any(|host| host.is_wildcard() && host.port.is_some()),
            plain_hosts: !hosts.is_empty() && !hosts.iter().any(HostRule::is_wildcard),
            regex: regex.is_some(),
            headers: rare.headers.len(),
            regex_priority: if regex.is_some() {
                spec.regex_priority
            } else {
                0
            },
            path_len: if regex.is_some() {
                0
            } else {
                path.map_or(0, str::len)
            },
            age: Reverse(spec.created_at),
            id: Reverse(spec.id),
            number: Reverse(number),
        };
        let (key, rule, path) = match (regex, path) {
            (Some(regex), _) => {
                let (key, pattern) = compile_regex(regex)?;
                (
                    key,
                    PathRule::Pattern(pattern.clone()),
                    Some((regex.into(), pattern)),
                )
            }
            (None, Some(prefix)) => {
                let pattern = Arc::new(PathPattern::Long(prefix.into()));
                let start = prefix.as_bytes().get(..MAX_KEY);
                let rule = start.map_or(PathRule::Prefix, |_| PathRule::Pattern(pattern.clone()));
                (
                    start.unwrap_or(prefix.as_bytes()).into(),
                    rule,
                    Some((prefix.into(), pattern)),
                )
            }
            (None, None) => (Box::default(), PathRule::None, None),
        };
        let place = |key: &HostKey, port| (key.clone(), port);
        let mut keys: Vec<_> = hosts
            .iter()
            .map(|host| place(&host.key, host.port))
            .collect();
        if keys.is_empty() {
            keys.push((HostKey::Any, None));
        }
        let place = |(host, port)| Place {
            host,
            port,
            key: Box::clone(&key),
            rule: rule.clone(),
        };
        Ok(Compiled {
            rank,
            attributes,
            conditions: compile_conditions(rare)?,
            places: keys.into_iter().map(place).collect(),
            path,
            hosts: hosts.clone(),
            methods: rare
                .methods
                .iter()
                .map(|method| method.to_ascii_uppercase().into())
                .collect(),
            snis: rare.snis.iter().map(|sni| without_dot(sni)).collect(),
            header_names: rare
                .headers
                .iter()
                .map(|rule| rule.name.to_ascii_lowercase().into())
                .collect(),
        })
    };
    if spec.paths.is_empty() {
        return entry(0, None).map(|entry| vec![entry]);
    }
    spec.paths
        .iter()
        .enumerate()
        .map(|(number, path)| entry(number, Some(path)))
        .collect()
}

fn compile_regex(regex: &str) -> Result<(Box<[u8]>, Arc<PathPattern>), Error> {
    let anchored = format!("^(?:{regex}(?P<uri_postfix>.*))");
    let compiled = pattern::compile(&anchored)?;
    let key = pattern::literal_start(&anchored).into();
    Ok((key, Arc::new(PathPattern::WithRest(compiled))))
}

fn compile_conditions(rare: &RareRules) -> Result<Option<Box<Conditions>>, Error> {
    if *rare == RareRules::default() {
        return Ok(None);
    }
    Ok(Some(Box::new(Conditions {
        methods: rare
            .methods
            .iter()
            .map(|method| method.to_ascii_uppercase().into())
            .collect(),
        snis: rare
            .snis
            .iter()
            .map(|sni| NamePattern::Exact(without_dot(sni)))
            .collect(),
        sni_compared: SniCompared::ButOnHttp,
        headers: rare
            .headers
            .iter()
            .map(HeaderCondition::compile_traditional)
            .collect::<Result<_, _>>()?,
        sources: rare.sources.clone(),
        destinations: rare.destinations.clone(),
        ..Conditions::default()
    })))
}

fn without_dot(sni: &str) -> Box<str> {
    let name = if sni.len() > 1 {
        sni.strip_suffix('.').unwrap_or(sni)
    } else {
        sni
    };
    name.into()
}
