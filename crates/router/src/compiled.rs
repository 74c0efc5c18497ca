//! A route in the form that the index holds: entries by priority, each with the places where it is found.

use std::sync::Arc;

use uuid::Uuid;

use crate::Error;
use crate::conditions::{Conditions, schemes_of};
use crate::expression::Expression;
use crate::host::{HostKey, Port, split_port};
use crate::pattern::{self, PathPattern, PathRule};
use crate::priority::{Rank, http_priority, stream_priority};
use crate::spec::RouteSpec;
use crate::tree::MAX_KEY;

/// A route with more combinations of hosts and paths is indexed by its hosts only.
const MAX_PLACES: usize = 512;
/// No host name is longer; the schema refuses it earlier.
const MAX_HOST: usize = MAX_KEY - 1;

/// One entry of a route: its paths of one kind and length share a priority.
pub(crate) struct Compiled {
    pub(crate) rank: Rank,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) places: Vec<Place>,
    /// Whether a path that is not UTF-8 keeps it from matching.
    pub(crate) reads_path: bool,
}

/// A key of the path tree, and what it leaves to check.
type PathPlace = (Box<[u8]>, PathRule);

/// Where an entry stands in the index, and what is left to check there.
pub(crate) struct Place {
    pub(crate) host: HostKey,
    pub(crate) port: Option<Port>,
    pub(crate) key: Box<[u8]>,
    pub(crate) rule: PathRule,
}

/// Compiles a route of the `traditional_compatible` (`compares_protocols` off) or `expressions` flavour.
pub(crate) fn compile(spec: &RouteSpec, compares_protocols: bool) -> Result<Vec<Compiled>, Error> {
    let stream = spec.protocols.is_stream();
    let rare = spec.rare();
    let schemes = if compares_protocols {
        schemes_of(spec.protocols)
    } else {
        Vec::new()
    };
    if let Some(text) = &rare.expression {
        return compile_expression(spec, text, stream).map(|mut entry| {
            if let (false, Some(conditions)) = (schemes.is_empty(), &mut entry.conditions) {
                conditions.schemes = schemes;
            }
            vec![entry]
        });
    }
    let nothing_to_match = rare.snis.is_empty()
        && rare.sources.is_empty()
        && rare.destinations.is_empty()
        && (stream
            || (spec.hosts.is_empty()
                && spec.paths.is_empty()
                && rare.methods.is_empty()
                && rare.headers.is_empty()));
    if nothing_to_match {
        return Err(Error::Empty);
    }
    let conditions = || -> Result<_, Error> {
        let mut conditions = Conditions::compile(rare, stream)?;
        if !schemes.is_empty() {
            conditions
                .get_or_insert_default()
                .schemes
                .clone_from(&schemes);
        }
        Ok(conditions)
    };
    if stream {
        let rank = Rank {
            priority: stream_priority(spec),
            id: spec.id,
        };
        return Ok(vec![Compiled {
            rank,
            conditions: conditions()?,
            places: vec![Place::anywhere()],
            reads_path: false,
        }]);
    }
    let hosts = compile_hosts(spec)?;
    let groups = group_paths(&spec.paths);
    let split = groups.len() > 1;
    let entry = |(number, paths): (usize, &[&str])| {
        let id = if split {
            split_id(spec.id, number + 1)
        } else {
            spec.id
        };
        Ok(Compiled {
            rank: Rank {
                priority: http_priority(spec, paths),
                id,
            },
            conditions: conditions()?,
            places: places(&hosts, compile_paths(paths)?),
            reads_path: !paths.is_empty(),
        })
    };
    if groups.is_empty() {
        return entry((0, &[])).map(|entry| vec![entry]);
    }
    groups
        .iter()
        .map(Vec::as_slice)
        .enumerate()
        .map(entry)
        .collect()
}

fn compile_expression(spec: &RouteSpec, text: &str, stream: bool) -> Result<Compiled, Error> {
    let expression = Expression::compile(text, stream)?;
    let hosts = expression.hosts();
    let mut starts = expression.path_starts();
    if hosts.len() * starts.len() > MAX_PLACES {
        starts = vec![Box::default()];
    }
    let place = |host: &HostKey, start: &[u8]| Place {
        host: host.clone(),
        port: None,
        key: start.into(),
        rule: PathRule::None,
    };
    let places = hosts
        .iter()
        .flat_map(|host| starts.iter().map(move |start| place(host, start)))
        .collect();
    let priority = if stream {
        stream_priority(spec)
    } else {
        http_priority(spec, &[])
    };
    Ok(Compiled {
        rank: Rank {
            priority,
            id: spec.id,
        },
        reads_path: expression.reads_path(),
        conditions: Some(Box::new(Conditions {
            expression: Some(expression),
            ..Conditions::default()
        })),
        places,
    })
}

impl Place {
    fn anywhere() -> Self {
        Self {
            host: HostKey::Any,
            port: None,
            key: Box::default(),
            rule: PathRule::None,
        }
    }
}

fn compile_hosts(spec: &RouteSpec) -> Result<Vec<(HostKey, Option<Port>)>, Error> {
    if spec.hosts.is_empty() {
        return Ok(vec![(HostKey::Any, None)]);
    }
    let compile = |text: &str| {
        if text.len() > MAX_HOST {
            return Err(Error::HostTooLong(text.to_owned()));
        }
        let (host, port) = split_port(text.as_bytes());
        Ok((HostKey::parse(host), port))
    };
    spec.hosts.iter().map(|host| compile(host)).collect()
}

/// Paths of one length together, and all regular expressions together, each in order of first appearance.
pub(crate) fn group_paths(paths: &[Box<str>]) -> Vec<Vec<&str>> {
    let kind = |path: &str| if path.starts_with('~') { 0 } else { path.len() };
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for path in paths {
        let same =
            |group: &&mut Vec<&str>| group.first().is_some_and(|first| kind(first) == kind(path));
        match groups.iter_mut().find(same) {
            Some(group) => group.push(path),
            None => groups.push(vec![path]),
        }
    }
    groups
}

/// The id of one entry of a route that has several.
///
/// Compat: ties are settled by id, so the ids are made as Kong makes them.
pub(crate) fn split_id(route: Uuid, number: usize) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x7f145bf9_0dce_4f91_98eb_debbce4b9f6b);
    Uuid::new_v5(&NAMESPACE, format!("{route}#{number}").as_bytes())
}

/// The keys and rules for the paths of one entry.
fn compile_paths(paths: &[&str]) -> Result<Vec<PathPlace>, Error> {
    match paths {
        [] => Ok(vec![(Box::default(), PathRule::None)]),
        [first, ..] if first.starts_with('~') => {
            compile_regexes(paths).map(|compiled| vec![compiled])
        }
        _ => Ok(paths.iter().map(|path| compile_prefix(path)).collect()),
    }
}

fn compile_prefix(prefix: &str) -> PathPlace {
    match prefix.as_bytes().get(..MAX_KEY) {
        Some(start) if prefix.len() > MAX_KEY => (
            start.into(),
            PathRule::Pattern(Arc::new(PathPattern::Long(prefix.into()))),
        ),
        _ => (prefix.as_bytes().into(), PathRule::Prefix),
    }
}

/// Several expressions stay together, because the first that matches counts.
fn compile_regexes(paths: &[&str]) -> Result<PathPlace, Error> {
    let mut patterns = Vec::with_capacity(paths.len());
    let mut start: Option<Vec<u8>> = None;
    for path in paths {
        let pattern = format!("^{}", path.strip_prefix('~').unwrap_or(path));
        let literal = pattern::literal_start(&pattern);
        start = Some(match start {
            None => literal,
            Some(known) => {
                let shared = known
                    .iter()
                    .zip(&literal)
                    .take_while(|(a, b)| a == b)
                    .count();
                known[..shared].to_vec()
            }
        });
        patterns.push(Arc::new(PathPattern::compile(&pattern)?));
    }
    let pattern = match patterns.as_slice() {
        [only] => only.clone(),
        _ => Arc::new(PathPattern::Several(patterns)),
    };
    Ok((start.unwrap_or_default().into(), PathRule::Pattern(pattern)))
}

fn places(hosts: &[(HostKey, Option<Port>)], paths: Vec<PathPlace>) -> Vec<Place> {
    let paths = if hosts.len().saturating_mul(paths.len()) > MAX_PLACES {
        together(paths)
    } else {
        paths
    };
    let mut places = Vec::with_capacity(hosts.len() * paths.len());
    for (host, port) in hosts {
        places.extend(paths.iter().map(|(key, rule)| Place {
            host: host.clone(),
            port: *port,
            key: key.clone(),
            rule: rule.clone(),
        }));
    }
    places
}

/// One rule instead of many, found under the empty key.
fn together(paths: Vec<PathPlace>) -> Vec<PathPlace> {
    let pattern = |(key, rule): &PathPlace| match rule {
        PathRule::Prefix => {
            let prefix = std::str::from_utf8(key).ok()?;
            Some(Arc::new(PathPattern::Long(prefix.into())))
        }
        PathRule::Pattern(pattern) => Some(pattern.clone()),
        PathRule::None => None,
    };
    match paths.iter().map(pattern).collect() {
        Some(all) => vec![(
            Box::default(),
            PathRule::Pattern(Arc::new(PathPattern::Several(all))),
        )],
        None => paths,
    }
}
