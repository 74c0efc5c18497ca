//! A persistent radix tree over byte strings: cloning is free, and a change copies only the path to what it touches.

use std::sync::Arc;

use crate::small::SmallBytes;

/// No key is longer, so that no walk and no drop goes deeper.
pub(crate) const MAX_KEY: usize = 256;

/// A map from byte strings to values that also answers which keys are prefixes of a string.
#[derive(Debug, Clone)]
pub(crate) struct Tree<V> {
    root: Option<Arc<Node<V>>>,
}

#[derive(Debug, Clone)]
struct Node<V> {
    edge: SmallBytes,
    /// The first byte of each child's edge, ascending, so that a search reads no child but the right one.
    firsts: SmallBytes,
    children: Box<[Arc<Node<V>>]>,
    value: Option<V>,
}

/// The string a walk follows, read from either end.
pub(crate) trait Text: Copy {
    fn len(self) -> usize;
    fn byte(self, at: usize) -> Option<u8>;
    fn continues_with(self, at: usize, edge: &[u8]) -> bool;
}

#[derive(Clone, Copy)]
pub(crate) struct Forward<'a>(pub &'a [u8]);

/// The string from its end: suffixes are the prefixes of the reverse.
#[derive(Clone, Copy)]
pub(crate) struct Backward<'a>(pub &'a [u8]);

impl Text for Forward<'_> {
    fn len(self) -> usize {
        self.0.len()
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn continues_with(self, at: usize, edge: &[u8]) -> bool {
        self.0.get(at..).is_some_and(|rest| rest.starts_with(edge))
    }
}

impl Text for Backward<'_> {
    fn len(self) -> usize {
        self.0.len()
    }

    fn byte(self, at: usize) -> Option<u8> {
        let from_end = self.0.len().checked_sub(at + 1)?;
        self.0.get(from_end).copied()
    }

    fn continues_with(self, at: usize, edge: &[u8]) -> bool {
        let Some(rest) = self.0.len().checked_sub(at) else {
            return false;
        };
        rest >= edge.len()
            && edge
                .iter()
                .zip(self.0[..rest].iter().rev())
                .all(|(a, b)| a == b)
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Clone> Tree<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of exactly this key.
    pub(crate) fn get(&self, text: impl Text) -> Option<&V> {
        let mut at = 0;
        let mut node = self.root.as_deref()?;
        loop {
            if !text.continues_with(at, &node.edge) {
                return None;
            }
            at += node.edge.len();
            if at == text.len() {
                return node.value.as_ref();
            }
            node = node.child(text.byte(at)?)?;
        }
    }

    /// Calls the visitor with the value of each key that the text starts with, shortest first, and its length.
    pub(crate) fn visit_prefixes<'t>(
        &'t self,
        text: impl Text,
        mut visitor: impl FnMut(usize, &'t V),
    ) {
        let mut at = 0;
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if !text.continues_with(at, &node.edge) {
                return;
            }
            at += node.edge.len();
            if let Some(value) = &node.value {
                visitor(at, value);
            }
            next = text.byte(at).and_then(|byte| node.child(byte));
        }
    }

    /// Changes the value of a key; leaving `None` takes the key out. Keys beyond [`MAX_KEY`] are cut there.
    pub(crate) fn update(&mut self, key: &[u8], change: impl FnOnce(&mut Option<V>)) {
        let key = &key[..key.len().min(MAX_KEY)];
        let Some(root) = &mut self.root else {
            let mut value = None;
            change(&mut value);
            self.root = value.map(|value| Arc::new(Node::leaf(key, value)));
            return;
        };
        Node::update(root, key, change);
        if root.value.is_none() && root.children.is_empty() {
            self.root = None;
        }
    }
}

impl<V: Clone> Node<V> {
    fn leaf(edge: &[u8], value: V) -> Self {
        Self {
            edge: edge.into(),
            value: Some(value),
            firsts: SmallBytes::default(),
            children: Box::default(),
        }
    }

    fn child(&self, first: u8) -> Option<&Self> {
        let at = self.firsts.iter().position(|f| *f == first)?;
        self.children.get(at).map(|child| &**child)
    }

    fn update(this: &mut Arc<Self>, key: &[u8], change: impl FnOnce(&mut Option<V>)) {
        let shared = this
            .edge
            .iter()
            .zip(key)
            .take_while(|(a, b)| a == b)
            .count();
        if shared < this.edge.len() {
            let mut value = None;
            change(&mut value);
            if let Some(value) = value {
                Self::split(this, shared);
                Arc::make_mut(this).grow(&key[shared..], value);
            }
            return;
        }
        let rest = &key[shared..];
        let node = Arc::make_mut(this);
        let Some(&first) = rest.first() else {
            change(&mut node.value);
            node.shrink();
            return;
        };
        match node.firsts.iter().position(|f| *f == first) {
            Some(at) => {
                Self::update(&mut node.children[at], rest, change);
                if node.children[at].value.is_none() && node.children[at].children.is_empty() {
                    node.firsts = (&*without(&node.firsts, at)).into();
                    node.children = without(&node.children, at);
                }
                node.shrink();
            }
            None => {
                let mut value = None;
                change(&mut value);
                if let Some(value) = value {
                    node.grow(rest, value);
                }
            }
        }
    }

    /// Cuts the edge, so that a node stands after its first `at` bytes.
    fn split(this: &mut Arc<Self>, at: usize) {
        let node = Arc::make_mut(this);
        let lower = Self {
            edge: node.edge[at..].into(),
            value: node.value.take(),
            firsts: std::mem::take(&mut node.firsts),
            children: std::mem::take(&mut node.children),
        };
        node.firsts = lower.edge.get(..1).unwrap_or_default().into();
        node.edge = SmallBytes::from(&node.edge[..at]);
        node.children = Box::new([Arc::new(lower)]);
    }

    /// Sets a value below this node, where no child starts with the same byte.
    fn grow(&mut self, rest: &[u8], value: V) {
        let Some(&first) = rest.first() else {
            self.value = Some(value);
            return;
        };
        let at = self.firsts.partition_point(|f| *f < first);
        self.firsts = (&*with(&self.firsts, at, first)).into();
        self.children = with(&self.children, at, Arc::new(Self::leaf(rest, value)));
    }

    /// Joins a node without a value to its only child.
    fn shrink(&mut self) {
        if self.value.is_none()
            && let [child] = &*self.children
        {
            let child = child.clone();
            self.edge = [&*self.edge, &*child.edge].concat().as_slice().into();
            self.value = child.value.clone();
            self.firsts = child.firsts.clone();
            self.children = child.children.clone();
        }
    }
}

fn with<E: Clone>(list: &[E], at: usize, element: E) -> Box<[E]> {
    let mut out = Vec::with_capacity(list.len() + 1);
    out.extend_from_slice(&list[..at]);
    out.push(element);
    out.extend_from_slice(&list[at..]);
    out.into()
}

fn without<E: Clone>(list: &[E], at: usize) -> Box<[E]> {
    let (before, after) = (&list[..at], &list[at + 1..]);
    [before, after].concat().into()
}

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;
