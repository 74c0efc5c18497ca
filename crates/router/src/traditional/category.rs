//! The routes that have one set of attributes.

use std::sync::Arc;

use super::compiled::{Attributes, Compiled, HostRule, Rank};
use super::hits::Keys;
use crate::conditions::Normal;
use crate::index::{Entry, Found, Index, Posting};
use crate::pattern::PathRule;
use crate::ranked::Ranked;
use crate::spec::Routable;
use crate::tree::{Forward, Tree};

/// Routes by key, for the first try.
type ByKey<T> = Tree<Ranked<Posting<T, Rank>>>;

/// All routes with the same attributes, in order, and by each of their keys.
#[derive(Debug)]
pub(crate) struct Category<T> {
    pub(crate) attributes: Attributes,
    len: usize,
    all: Index<T, Rank>,
    hosts: ByKey<T>,
    paths: ByKey<T>,
    methods: ByKey<T>,
    snis: ByKey<T>,
}

impl<T> Clone for Category<T> {
    fn clone(&self) -> Self {
        Self {
            attributes: self.attributes,
            len: self.len,
            all: self.all.clone(),
            hosts: self.hosts.clone(),
            paths: self.paths.clone(),
            methods: self.methods.clone(),
            snis: self.snis.clone(),
        }
    }
}

impl<T: Routable> Category<T> {
    pub(crate) fn new(attributes: Attributes) -> Self {
        Self {
            attributes,
            len: 0,
            all: Index::new(1),
            hosts: Tree::default(),
            paths: Tree::default(),
            methods: Tree::default(),
            snis: Tree::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, entry: &Arc<Entry<T, Rank>>, compiled: &Compiled) {
        self.len += 1;
        self.all.insert(entry, &compiled.places);
        if self.attributes.has(Attributes::HEADER) {
            return;
        }
        let rule = match &compiled.path {
            Some((_, pattern)) => PathRule::Pattern(pattern.clone()),
            None => PathRule::None,
        };
        let posting = Posting::new(entry, None, rule);
        self.change_keys(compiled, |slot| Ranked::insert(slot, posting.clone()));
    }

    pub(crate) fn remove(&mut self, compiled: &Compiled) {
        self.len = self.len.saturating_sub(1);
        self.all.remove(compiled.rank, &compiled.places);
        if !self.attributes.has(Attributes::HEADER) {
            self.change_keys(compiled, |slot| Ranked::remove(slot, compiled.rank));
        }
    }

    fn change_keys(
        &mut self,
        compiled: &Compiled,
        change: impl Fn(&mut Option<Ranked<Posting<T, Rank>>>),
    ) {
        for host in &compiled.hosts {
            self.hosts.update(host.text.as_bytes(), &change);
        }
        if let Some((path, _)) = &compiled.path {
            self.paths.update(path.as_bytes(), &change);
        }
        for method in &compiled.methods {
            self.methods.update(method.as_bytes(), &change);
        }
        for sni in &compiled.snis {
            self.snis.update(sni.as_bytes(), &change);
        }
    }

    pub(crate) fn find(&self, request: &Normal<'_>, keys: &Keys<'_>) -> Option<Found<'_, T, Rank>> {
        let first_try = self
            .most_selective(request, keys)
            .into_iter()
            .flat_map(Ranked::iter);
        let mut fitting = first_try.filter(|posting| host_fits(posting.route(), request));
        fitting
            .find_map(|posting| posting.check(0, request))
            .or_else(|| {
                let spellings = [request.request.host, request.host];
                let spellings: [&[u8]; 2] = spellings.map(Option::unwrap_or_default);
                self.all.find(&spellings, request)
            })
    }

    /// The shortest of the lists that the request's keys lead to.
    fn most_selective(
        &self,
        request: &Normal<'_>,
        keys: &Keys<'_>,
    ) -> Option<&Ranked<Posting<T, Rank>>> {
        let r = request.request;
        let host = keys.host.as_deref().map(str::as_bytes).or(r.host);
        let lists = [
            host.and_then(|host| self.hosts.get(Forward(host))),
            keys.path
                .as_deref()
                .and_then(|path| self.paths.get(Forward(path.as_bytes()))),
            self.methods.get(Forward(r.method)),
            r.sni.and_then(|sni| self.snis.get(Forward(sni.as_bytes()))),
        ];
        lists.into_iter().flatten().min_by_key(|list| list.len())
    }
}

fn host_fits<T: Routable>(route: &T, request: &Normal<'_>) -> bool {
    let hosts = &route.spec().hosts;
    if hosts.is_empty() {
        return true;
    }
    let (Some(written), Some(name)) = (request.request.host, request.host) else {
        return false;
    };
    hosts.iter().any(|host| {
        host.as_bytes() == written
            || host.as_bytes() == name
            || (host.contains('*') && HostRule::parse(host).fits(name, request.port))
    })
}
