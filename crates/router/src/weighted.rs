//! The `traditional_compatible` and `expressions` flavours: one order over all routes.

use std::sync::Arc;

use crate::compiled::{Compiled, compile};
use crate::conditions::Normal;
use crate::expression::Trace;
use crate::host::split_port;
use crate::index::{Entry, Found, Index};
use crate::matched::{Captures, Match};
use crate::priority::Rank;
use crate::request::Request;
use crate::spec::{Routable, RouteSpec};
use crate::{Entries, Error};

/// Routes in the order of their priorities.
#[derive(Debug)]
pub(crate) struct Weighted<T> {
    index: Index<T, Rank>,
    compares_protocols: bool,
    /// How many entries look at the path.
    path_readers: usize,
}

impl<T> Clone for Weighted<T> {
    fn clone(&self) -> Self {
        Self {
            index: self.index.clone(),
            compares_protocols: self.compares_protocols,
            path_readers: self.path_readers,
        }
    }
}

impl<T: Routable + Clone> Entries<T> for Weighted<T> {
    type Compiled = Compiled;

    fn compile(&self, spec: &RouteSpec) -> Result<Vec<Compiled>, Error> {
        compile(spec, self.compares_protocols)
    }

    fn insert(&mut self, compiled: Vec<Compiled>, route: &T) {
        for Compiled {
            rank,
            conditions,
            places,
            reads_path,
        } in compiled
        {
            self.path_readers += usize::from(reads_path);
            let entry = Arc::new(Entry {
                rank,
                route: route.clone(),
                conditions,
            });
            self.index.insert(&entry, &places);
        }
    }

    fn remove(&mut self, compiled: &[Compiled]) {
        for entry in compiled {
            self.path_readers = self
                .path_readers
                .saturating_sub(usize::from(entry.reads_path));
            self.index.remove(entry.rank, &entry.places);
        }
    }
}

impl<T: Routable + Clone> Weighted<T> {
    pub(crate) fn new(compares_protocols: bool) -> Self {
        Self {
            index: Index::new(0),
            compares_protocols,
            path_readers: 0,
        }
    }

    pub(crate) fn find(&self, request: &Request<'_>) -> Option<Match<'_, T>> {
        // Compat: Kong's matcher takes no path that is not UTF-8, and then no route at all matches.
        let path = match std::str::from_utf8(request.path) {
            Ok(path) => path,
            Err(_) if self.path_readers == 0 => "",
            Err(_) => return None,
        };
        let (host, port) = match request.host.map(split_port) {
            Some((host, port)) => (Some(host), port),
            None => (None, None),
        };
        let own_port = request.destination.map(|own| u32::from(own.port()));
        let normal = Normal {
            request,
            host,
            port: port.or(own_port),
            path,
        };
        let exact = host.as_slice();
        let found = self.index.find(exact, &normal)?;
        Some(to_match(&found, &normal))
    }
}

fn to_match<'r, T>(found: &Found<'r, T, Rank>, request: &Normal<'_>) -> Match<'r, T> {
    let mut path = found.path.clone();
    if found.regex.is_none() && found.entry.conditions.is_none() {
        return Match {
            route: &found.entry.route,
            path,
            captures: None,
        };
    }
    let mut captures = Captures::default();
    if let Some(regex) = found.regex.filter(|regex| regex.captures_len() > 1) {
        captures.add(regex, request.path);
    }
    if let Some(conditions) = &found.entry.conditions {
        // Compat: groups of header patterns land among those of the path.
        for (regex, value) in conditions
            .headers
            .iter()
            .filter_map(|h| h.deciding_pattern(request.request.headers))
        {
            captures.add(regex, &value);
        }
        if let Some(expression) = &conditions.expression {
            let mut trace = Trace {
                wants_captures: true,
                ..Trace::default()
            };
            expression.evaluate(request, &mut trace);
            for (regex, text) in &trace.matched {
                captures.add(regex, text);
            }
            path = trace.path;
        }
    }
    Match {
        route: &found.entry.route,
        path,
        captures: captures.if_any(),
    }
}
