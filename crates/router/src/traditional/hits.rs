//! Which attributes a request hits anywhere in the configuration, and by which keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiled::{Attributes, Compiled, HostRule, Rank};
use crate::conditions::{Normal, visit_header};
use crate::host::HostKey;
use crate::pattern::{PathPattern, literal_start};
use crate::ranked::{HasRank, Ranked};
use crate::tree::{Backward, Forward, Tree};

/// The keys of all routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hits {
    plain_hosts: Tree<usize>,
    /// By what is before, or in reverse by what is after the asterisk.
    wildcard_prefixes: Tree<Ranked<Keyed<HostRule>>>,
    wildcard_suffixes: Tree<Ranked<Keyed<HostRule>>>,
    prefixes: Tree<usize>,
    regexes: Tree<Ranked<Keyed<PathRegex>>>,
    methods: BTreeMap<Box<str>, usize>,
    header_names: BTreeMap<Box<str>, usize>,
    snis: Tree<usize>,
}

#[derive(Debug, Clone)]
struct Keyed<K> {
    rank: Rank,
    key: K,
}

impl<K: Clone> HasRank for Keyed<K> {
    type Rank = Rank;

    fn rank(&self) -> Rank {
        self.rank
    }
}

/// A regular expression as it is written, and compiled.
type PathRegex = (Arc<str>, Arc<PathPattern>);

/// What a request is looked up by.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    plain_host: bool,
    /// The first wildcard host that fits, if no plain host does.
    pub(crate) host: Option<Arc<str>>,
    /// The first expression that matches, or else the longest prefix.
    pub(crate) path: Option<Cow<'a, str>>,
}

impl Hits {
    pub(crate) fn add(&mut self, compiled: &Compiled) {
        let rank = compiled.rank;
        self.change(
            compiled,
            |count| *count = Some(count.unwrap_or(0) + 1),
            |slot, key| Ranked::insert(slot, Keyed { rank, key }),
            |slot, key| Ranked::insert(slot, Keyed { rank, key }),
        );
    }

    pub(crate) fn remove(&mut self, compiled: &Compiled) {
        let rank = compiled.rank;
        self.change(
            compiled,
            |count| *count = count.filter(|count| *count > 1).map(|count| count - 1),
            |slot, _| Ranked::remove(slot, rank),
            |slot, _| Ranked::remove(slot, rank),
        );
    }

    fn change(
        &mut self,
        compiled: &Compiled,
        count: impl Fn(&mut Option<usize>),
        wildcard: impl Fn(&mut Option<Ranked<Keyed<HostRule>>>, HostRule),
        regex: impl Fn(&mut Option<Ranked<Keyed<PathRegex>>>, PathRegex),
    ) {
        for host in &compiled.hosts {
            match &host.key {
                HostKey::Exact(name) => self.plain_hosts.update(name, &count),
                HostKey::Prefix(start) => {
                    self.wildcard_prefixes
                        .update(start, |slot| wildcard(slot, host.clone()));
                }
                HostKey::Suffix(end) => {
                    let reversed: Vec<u8> = end.iter().rev().copied().collect();
                    self.wildcard_suffixes
                        .update(&reversed, |slot| wildcard(slot, host.clone()));
                }
                HostKey::Any => {}
            }
        }
        match &compiled.path {
            Some((text, pattern)) if compiled.rank.regex => {
                let key = literal_start(&format!("^(?:{text})"));
                self.regexes.update(&key, |slot| {
                    regex(slot, (Arc::from(&**text), pattern.clone()))
                });
            }
            Some((prefix, _)) => self.prefixes.update(prefix.as_bytes(), &count),
            None => {}
        }
        for method in &compiled.methods {
            change_count(&mut self.methods, method, &count);
        }
        for name in &compiled.header_names {
            change_count(&mut self.header_names, name, &count);
        }
        for sni in &compiled.snis {
            self.snis.update(sni.as_bytes(), &count);
        }
    }

    pub(crate) fn look_up<'a>(&self, request: &Normal<'a>) -> Keys<'a> {
        let plain_host = self.hits_plain_host(request);
        let host = if plain_host {
            None
        } else {
            self.wildcard_host(request)
        };
        Keys {
            plain_host,
            host,
            path: self.path_key(request.path),
        }
    }

    fn hits_plain_host(&self, request: &Normal<'_>) -> bool {
        let (Some(name), Some(port)) = (request.host, request.port) else {
            return false;
        };
        if self.plain_hosts.is_empty() {
            return false;
        }
        let written = request.request.host.unwrap_or_default();
        // Compat: an address in brackets is looked up without them, or with a port.
        let with_port = match written {
            [b'[', .., b']'] => [written, format!(":{port}").as_bytes()].concat(),
            [b'[', ..] => written.to_vec(),
            _ => [name, format!(":{port}").as_bytes()].concat(),
        };
        let is_plain = |host: &[u8]| self.plain_hosts.get(Forward(host)).is_some();
        is_plain(name) || is_plain(&with_port)
    }

    fn wildcard_host(&self, request: &Normal<'_>) -> Option<Arc<str>> {
        let name = request.host?;
        let mut best: Option<&Keyed<HostRule>> = None;
        let mut candidates = Vec::new();
        self.wildcard_suffixes
            .visit_prefixes(Backward(name), |_, list| candidates.push(list));
        self.wildcard_prefixes
            .visit_prefixes(Forward(name), |_, list| candidates.push(list));
        for keyed in candidates.into_iter().flat_map(Ranked::iter) {
            let better = best.is_none_or(|best| keyed.rank > best.rank);
            if better && keyed.key.fits(name, request.port) {
                best = Some(keyed);
            }
        }
        best.map(|keyed| keyed.key.text.clone())
    }

    fn path_key<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        let mut lists = Vec::new();
        self.regexes
            .visit_prefixes(Forward(path.as_bytes()), |_, list| lists.push(list));
        let mut best: Option<&Keyed<PathRegex>> = None;
        for keyed in lists.into_iter().flat_map(Ranked::iter) {
            let better = best.is_none_or(|best| keyed.rank > best.rank);
            if better && keyed.key.1.find(path).is_some() {
                best = Some(keyed);
            }
        }
        if let Some(best) = best {
            return Some(Cow::Owned(best.key.0.to_string()));
        }
        let mut longest = None;
        self.prefixes
            .visit_prefixes(Forward(path.as_bytes()), |covered, _| {
                longest = Some(covered)
            });
        path.get(..longest?).map(Cow::Borrowed)
    }

    /// The attributes that the request hits; addresses are left out, for plain HTTP requests have none here.
    pub(crate) fn attributes(&self, request: &Normal<'_>, keys: &Keys<'_>) -> Attributes {
        let r = request.request;
        let mut hit = Attributes::default();
        hit.add(Attributes::HOST, keys.plain_host || keys.host.is_some());
        hit.add(Attributes::PATH, keys.path.is_some());
        let method = std::str::from_utf8(r.method).unwrap_or_default();
        hit.add(Attributes::METHOD, self.methods.contains_key(method));
        hit.add(
            Attributes::SNI,
            r.sni
                .is_some_and(|sni| self.snis.get(Forward(sni.as_bytes())).is_some()),
        );
        let mut header = false;
        for name in self.header_names.keys() {
            visit_header(r.headers, name, &mut |_| header = true);
        }
        hit.add(Attributes::HEADER, header);
        hit
    }
}

fn change_count(
    counts: &mut BTreeMap<Box<str>, usize>,
    key: &str,
    change: impl Fn(&mut Option<usize>),
) {
    let mut count = counts.remove(key);
    change(&mut count);
    if let Some(count) = count {
        counts.insert(key.into(), count);
    }
}
