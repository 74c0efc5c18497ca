//! What an expression demands in any case, so that it can be indexed by host and path.

use super::{Expression, Field, Node, Predicate, Test};
use crate::host::HostKey;
use crate::pattern::literal_start;

/// An expression with more alternatives than this is not indexed by them.
const MAX_ALTERNATIVES: usize = 64;

impl Expression {
    /// The hosts one of which a request must have; just [`HostKey::Any`] if nothing is known.
    pub(crate) fn hosts(&self) -> Vec<HostKey> {
        self.demands(host_of).unwrap_or_else(|| vec![HostKey::Any])
    }

    /// The strings one of which the path must start with; just the empty one if nothing is known.
    pub(crate) fn path_starts(&self) -> Vec<Box<[u8]>> {
        self.demands(path_of)
            .unwrap_or_else(|| vec![Box::default()])
    }

    fn demands<K>(&self, key: fn(&Predicate) -> Option<K>) -> Option<Vec<K>> {
        let conjuncts = match &self.0 {
            Node::All(nodes) => nodes.as_slice(),
            node => std::slice::from_ref(node),
        };
        conjuncts.iter().find_map(|node| alternatives(node, key))
    }
}

/// The keys of a test, or of alternatives that all have one.
fn alternatives<K>(node: &Node, key: fn(&Predicate) -> Option<K>) -> Option<Vec<K>> {
    match node {
        Node::Test(predicate) => key(predicate).map(|key| vec![key]),
        Node::Any(nodes) if nodes.len() <= MAX_ALTERNATIVES => {
            let keys = nodes.iter().map(|node| match node {
                Node::Test(predicate) => key(predicate),
                _ => None,
            });
            keys.collect()
        }
        _ => None,
    }
}

fn host_of(predicate: &Predicate) -> Option<HostKey> {
    if predicate.field != Field::Host || predicate.lower {
        return None;
    }
    match &predicate.test {
        Test::Equal(host) => Some(HostKey::Exact(host.as_bytes().into())),
        Test::Suffix(end) => Some(HostKey::Suffix(end.as_bytes().into())),
        Test::Prefix(start) => Some(HostKey::Prefix(start.as_bytes().into())),
        _ => None,
    }
}

fn path_of(predicate: &Predicate) -> Option<Box<[u8]>> {
    if predicate.field != Field::Path || predicate.lower {
        return None;
    }
    match &predicate.test {
        Test::Equal(start) | Test::Prefix(start) => Some(start.as_bytes().into()),
        Test::Regex(regex) => {
            let start = literal_start(regex.as_str());
            (!start.is_empty()).then(|| start.into())
        }
        _ => None,
    }
}
