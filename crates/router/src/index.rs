//! The index: host, then path, then the best of what is left.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use crate::compiled::Place;
use crate::conditions::{Conditions, Normal};
use crate::host::{HostKey, Port};
use crate::pattern::PathRule;
use crate::ranked::{HasRank, Ranked};
use crate::tree::{Backward, Forward, Tree};

/// One way for a route to match.
#[derive(Debug)]
pub(crate) struct Entry<T, R> {
    pub(crate) rank: R,
    pub(crate) route: T,
    pub(crate) conditions: Option<Box<Conditions>>,
}

/// An entry at one place of the index, and what the place does not say yet.
#[derive(Debug)]
pub(crate) struct Posting<T, R> {
    entry: Arc<Entry<T, R>>,
    port: Option<Port>,
    rule: PathRule,
}

impl<T, R> Clone for Posting<T, R> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            port: self.port,
            rule: self.rule.clone(),
        }
    }
}

impl<T, R: Ord + Copy> HasRank for Posting<T, R> {
    type Rank = R;

    fn rank(&self) -> R {
        self.entry.rank
    }
}

/// An entry that matched.
pub(crate) struct Found<'r, T, R> {
    pub(crate) entry: &'r Arc<Entry<T, R>>,
    /// The part of the path that the route's path covers.
    pub(crate) path: Option<Range<usize>>,
    pub(crate) regex: Option<&'r Regex>,
}

type PathTree<T, R> = Tree<Ranked<Posting<T, R>>>;

/// Entries by host and path. Cloning is free, and a change of one entry copies only the way to its places.
#[derive(Debug)]
pub(crate) struct Index<T, R> {
    exact: Tree<PathTree<T, R>>,
    suffixes: Tree<PathTree<T, R>>,
    prefixes: Tree<PathTree<T, R>>,
    any: PathTree<T, R>,
    /// How many bytes a wildcard stands for at least.
    wildcard_min: usize,
}

impl<T, R> Clone for Index<T, R> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            suffixes: self.suffixes.clone(),
            prefixes: self.prefixes.clone(),
            any: self.any.clone(),
            wildcard_min: self.wildcard_min,
        }
    }
}

impl<T, R: Ord + Copy> Index<T, R> {
    pub(crate) fn new(wildcard_min: usize) -> Self {
        Self {
            exact: Tree::default(),
            suffixes: Tree::default(),
            prefixes: Tree::default(),
            any: Tree::default(),
            wildcard_min,
        }
    }

    pub(crate) fn insert(&mut self, entry: &Arc<Entry<T, R>>, places: &[Place]) {
        for place in places {
            let posting = Posting::new(entry, place.port, place.rule.clone());
            self.change(place, |slot| Ranked::insert(slot, posting));
        }
    }

    pub(crate) fn remove(&mut self, rank: R, places: &[Place]) {
        for place in places {
            self.change(place, |slot| Ranked::remove(slot, rank));
        }
    }

    fn change(&mut self, place: &Place, change: impl FnOnce(&mut Option<Ranked<Posting<T, R>>>)) {
        let reversed: Vec<u8>;
        let (hosts, host) = match &place.host {
            HostKey::Any => return self.any.update(&place.key, change),
            HostKey::Exact(host) => (&mut self.exact, &**host),
            HostKey::Prefix(start) => (&mut self.prefixes, &**start),
            HostKey::Suffix(end) => {
                reversed = end.iter().rev().copied().collect();
                (&mut self.suffixes, &*reversed)
            }
        };
        hosts.update(host, |slot| {
            let mut paths = slot.take().unwrap_or_default();
            paths.update(&place.key, change);
            *slot = (!paths.is_empty()).then_some(paths);
        });
    }

    /// The best entry that matches; `exact_hosts` are the spellings of the host to look up as they are.
    pub(crate) fn find(
        &self,
        exact_hosts: &[&[u8]],
        request: &Normal<'_>,
    ) -> Option<Found<'_, T, R>> {
        let mut search = Search {
            request,
            best: None,
        };
        for host in exact_hosts {
            if let Some(paths) = self.exact.get(Forward(host)) {
                search.walk(paths);
            }
        }
        if let Some(host) = request.host {
            let long_enough = |covered: usize| host.len() >= covered + self.wildcard_min;
            self.suffixes
                .visit_prefixes(Backward(host), |covered, paths| {
                    if long_enough(covered) {
                        search.walk(paths);
                    }
                });
            self.prefixes
                .visit_prefixes(Forward(host), |covered, paths| {
                    if long_enough(covered) {
                        search.walk(paths);
                    }
                });
        }
        search.walk(&self.any);
        search.best
    }
}

struct Search<'r, 'q, T, R> {
    request: &'q Normal<'q>,
    best: Option<Found<'r, T, R>>,
}

impl<'r, T, R: Ord + Copy> Search<'r, '_, T, R> {
    fn walk(&mut self, paths: &'r PathTree<T, R>) {
        let path = self.request.path.as_bytes();
        paths.visit_prefixes(Forward(path), |covered, postings| {
            for posting in postings.iter() {
                if self
                    .best
                    .as_ref()
                    .is_some_and(|best| best.entry.rank >= posting.entry.rank)
                {
                    break;
                }
                if let Some(found) = posting.check(covered, self.request) {
                    self.best = Some(found);
                    break;
                }
            }
        });
    }
}

impl<T, R: Ord + Copy> Posting<T, R> {
    pub(crate) fn new(entry: &Arc<Entry<T, R>>, port: Option<Port>, rule: PathRule) -> Self {
        Self {
            entry: entry.clone(),
            port,
            rule,
        }
    }

    pub(crate) fn route(&self) -> &T {
        &self.entry.route
    }

    pub(crate) fn check(&self, covered: usize, request: &Normal<'_>) -> Option<Found<'_, T, R>> {
        if self.port.is_some() && self.port != request.port {
            return None;
        }
        if let Some(conditions) = &self.entry.conditions
            && !conditions.hold(request)
        {
            return None;
        }
        let (path, regex) = match &self.rule {
            PathRule::None => (None, None),
            PathRule::Prefix => (Some(0..covered), None),
            PathRule::Pattern(pattern) => pattern.find(request.path)?,
        };
        Some(Found {
            entry: &self.entry,
            path,
            regex,
        })
    }
}
