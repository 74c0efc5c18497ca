//! The `traditional` flavour: routes in categories by the attributes they have.
//!
//! A category is a set of attributes; categories with more attributes come first, and within a category the order
//! is: wildcard hosts with a port, plain hosts, regular expressions, number of headers, `regex_priority`, length of
//! the path, age.
//!
//! Compat: before Kong goes through a category in that order, it tries the routes that share the request's most
//! selective key (its Host header as written, the best path in the whole configuration, its method, its name in the
//! TLS greeting); a route found there wins over an earlier one. That is kept, since it decides between routes.
//! Kong's choice among several header names is left to a hash table; categories with headers go by their order.

mod category;
mod compiled;
mod hits;

use std::sync::Arc;

use crate::conditions::Normal;
use crate::host::{Port, parse_port};
use crate::index::{Entry, Found};
use crate::matched::{Captures, Match};
use crate::request::{Request, Scheme};
use crate::spec::{Routable, RouteSpec};
use crate::{Entries, Error};

use category::Category;
use compiled::Rank;
pub(crate) use compiled::{Compiled, compile};
use hits::{Hits, Keys};

/// Routes by category, best category first.
#[derive(Debug)]
pub(crate) struct Traditional<T> {
    categories: Vec<Arc<Category<T>>>,
    hits: Hits,
}

impl<T> Clone for Traditional<T> {
    fn clone(&self) -> Self {
        Self {
            categories: self.categories.clone(),
            hits: self.hits.clone(),
        }
    }
}

impl<T: Routable + Clone> Entries<T> for Traditional<T> {
    type Compiled = Compiled;

    fn compile(&self, spec: &RouteSpec) -> Result<Vec<Compiled>, Error> {
        compile(spec)
    }

    fn insert(&mut self, compiled: Vec<Compiled>, route: &T) {
        for mut compiled in compiled {
            let attributes = compiled.attributes;
            let at = self
                .categories
                .partition_point(|c| c.attributes.comes_before(attributes));
            if self
                .categories
                .get(at)
                .is_none_or(|c| c.attributes != attributes)
            {
                self.categories
                    .insert(at, Arc::new(Category::new(attributes)));
            }
            self.hits.add(&compiled);
            let entry = Arc::new(Entry {
                rank: compiled.rank,
                route: route.clone(),
                conditions: compiled.conditions.take(),
            });
            if let Some(category) = self.categories.get_mut(at) {
                Arc::make_mut(category).insert(&entry, &compiled);
            }
        }
    }

    fn remove(&mut self, compiled: &[Compiled]) {
        for compiled in compiled {
            self.hits.remove(compiled);
            for category in &mut self.categories {
                if category.attributes == compiled.attributes {
                    Arc::make_mut(category).remove(compiled);
                }
            }
        }
        self.categories.retain(|category| !category.is_empty());
    }
}

impl<T: Routable + Clone> Traditional<T> {
    pub(crate) fn new() -> Self {
        Self {
            categories: Vec::new(),
            hits: Hits::default(),
        }
    }

    pub(crate) fn find(&self, request: &Request<'_>) -> Option<Match<'_, T>> {
        let mut request = *request;
        if matches!(request.scheme, Scheme::Http | Scheme::Https) {
            // Compat: here Kong compares addresses on stream connections only, so such HTTP routes never match.
            request.source = None;
            request.destination = None;
        }
        let default_port = if request.scheme == Scheme::Https {
            443
        } else {
            80
        };
        let (host, port) = match request.host.map(|host| split_port(host, default_port)) {
            Some((host, port)) => (Some(host), Some(port)),
            None => (None, None),
        };
        let normal = Normal {
            request: &request,
            host,
            port,
            path: std::str::from_utf8(request.path).unwrap_or_default(),
        };
        let keys = self.hits.look_up(&normal);
        let first = self.first_category(&normal, &keys);
        let found = self.categories[first..]
            .iter()
            .find_map(|category| category.find(&normal, &keys))?;
        Some(to_match(&found, &normal))
    }

    /// Where the search begins.
    ///
    /// Compat: for HTTP, Kong begins with the category of all that the request hits, if there is one. What comes
    /// before could still match by names of the TLS greeting, which a plain request need not have, and by an address
    /// in brackets, which counts as no hit.
    fn first_category(&self, request: &Normal<'_>, keys: &Keys<'_>) -> usize {
        if !matches!(request.request.scheme, Scheme::Http | Scheme::Https) {
            return 0;
        }
        let hit = self.hits.attributes(request, keys);
        let same = |category: &Arc<Category<T>>| category.attributes == hit;
        self.categories.iter().position(same).unwrap_or(0)
    }
}

fn to_match<'r, T>(found: &Found<'r, T, Rank>, request: &Normal<'_>) -> Match<'r, T> {
    // The last group is the rest of the path.
    let regex = found.regex.filter(|regex| regex.captures_len() > 2);
    let captures = regex.and_then(|regex| {
        let mut captures = Captures::default();
        captures.add_without_last(regex, &regex.captures(request.path)?);
        Some(Box::new(captures))
    });
    Match {
        route: &found.entry.route,
        path: found.path.clone(),
        captures,
    }
}

/// Cuts the port off, and the brackets of an IPv6 address; without a port, the scheme's.
fn split_port(host: &[u8], default: Port) -> (&[u8], Port) {
    if let Some(inner) = host.strip_prefix(b"[") {
        if let Some(inner) = inner.strip_suffix(b"]") {
            return (inner, default);
        }
        let Some(end) = inner.windows(2).position(|pair| pair == b"]:") else {
            return (host, default);
        };
        let digits = &inner[end + 2..];
        return match parse_port(digits) {
            Some(port) => (&inner[..end], port),
            None if digits.is_empty() => (&inner[..end], default),
            None => (host, default),
        };
    }
    let Some(colon) = host.iter().position(|b| *b == b':') else {
        return (host, default);
    };
    let digits = &host[colon + 1..];
    match parse_port(digits) {
        Some(port) => (&host[..colon], port),
        None if digits.is_empty() => (&host[..colon], default),
        None => (host, default),
    }
}
