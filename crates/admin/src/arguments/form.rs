//! Form fields whose names spell a structure: `config.a.b=1`, `paths[]=/x`, `paths[1]=/x`, `headers.x=y`.
//!
//! Compat: the notation is the one of Kong's Admin API. Every field is read on its own and the results are merged,
//! so that `hosts=a&hosts=b`, `hosts[]=a&hosts[]=b` and `hosts[1]=a&hosts[2]=b` all make one list of two.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Error;

/// How deep a name may nest; no entity comes near it, and recursion over a form stays bounded by it.
const MAX_DEPTH: usize = 32;

/// What one field holds: `name` alone is `true`, `name=` is the empty string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    Present,
    Text(String),
}

/// A table under construction; it becomes a list if all of its keys are positions.
#[derive(Debug)]
enum Node {
    Leaf(Value),
    Table(BTreeMap<Key, Node>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Position(u64),
    Name(String),
}

/// One step of a name.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(Key),
    /// `[]`: after the elements that are there already.
    Append,
}

/// Reads the fields of a form or query as one JSON object.
pub fn decode(fields: Vec<(String, FieldValue)>) -> Result<Map<String, Value>, Error> {
    let mut root = BTreeMap::new();
    for (name, values) in group(fields) {
        let steps = parse_name(&name)?;
        merge(&mut root, nest(&steps, values));
    }
    let object = root
        .into_iter()
        .map(|(key, node)| (key.into_name(), node.into_value()));
    Ok(object.collect())
}

/// Collects the values of repeated names, in the order in which the names first appear.
fn group(fields: Vec<(String, FieldValue)>) -> Vec<(String, Vec<FieldValue>)> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<(String, Vec<FieldValue>)> = Vec::new();
    for (name, value) in fields {
        let place = *places.entry(name.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}

/// Splits `a.b[1][].c` into its steps; a name that begins or ends with a dot is taken as it is.
fn parse_name(name: &str) -> Result<Vec<Step>, Error> {
    if name.starts_with('.') || name.ends_with('.') {
        return Ok(vec![Step::Key(Key::Name(name.to_owned()))]);
    }
    let mut steps = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        if steps.len() >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        // A bracket right at the start belongs to the name.
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| matches!(c, '.' | '['));
        let (word, tail) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        if word != "." {
            steps.push(Step::Key(Key::Name(
                word.trim_start_matches('.').to_owned(),
            )));
        }
        rest = brackets(tail, &mut steps)?;
    }
    Ok(steps)
}

/// Takes the `[…]` groups at the start of `text`, and gives back what follows them.
fn brackets<'a>(mut text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, Error> {
    while let Some((inner, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        if steps.len() >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        steps.push(if inner.is_empty() {
            Step::Append
        } else if let Ok(position) = inner.parse() {
            Step::Key(Key::Position(position))
        } else {
            Step::Key(Key::Name(inner.to_owned()))
        });
        text = rest;
    }
    match text.strip_prefix('[') {
        // An unclosed bracket is part of a name.
        Some(_) => {
            steps.push(Step::Key(Key::Name(text.to_owned())));
            Ok("")
        }
        None => Ok(text.strip_prefix('.').unwrap_or(text)),
    }
}

/// Wraps the values into the tables that the steps name.
fn nest(steps: &[Step], values: Vec<FieldValue>) -> BTreeMap<Key, Node> {
    let Some((step, rest)) = steps.split_first() else {
        return list(values);
    };
    match step {
        Step::Key(key) => {
            let node = if rest.is_empty() {
                leaf(values)
            } else {
                Node::Table(nest(rest, values))
            };
            BTreeMap::from([(key.clone(), node)])
        }
        // Compat: `a[].b=1` is `a.b=1`.
        Step::Append => nest(rest, values),
    }
}

fn leaf(mut values: Vec<FieldValue>) -> Node {
    match values.pop() {
        Some(only) if values.is_empty() => Node::Leaf(only.into_value()),
        Some(last) => {
            values.push(last);
            Node::Table(list(values))
        }
        None => Node::Leaf(Value::Null),
    }
}

fn list(values: Vec<FieldValue>) -> BTreeMap<Key, Node> {
    let nodes = values.into_iter().map(|v| Node::Leaf(v.into_value()));
    (1..).map(Key::Position).zip(nodes).collect()
}

/// Adds the entries of `new` to `table`; where both have a key, tables merge and other values become a list.
fn merge(table: &mut BTreeMap<Key, Node>, new: BTreeMap<Key, Node>) {
    for (key, node) in new {
        let merged = match (table.remove(&key), node) {
            (None, node) => node,
            (Some(Node::Table(mut old)), Node::Table(new)) => {
                merge(&mut old, new);
                Node::Table(old)
            }
            (Some(Node::Table(mut old)), leaf) => {
                append(&mut old, leaf);
                Node::Table(old)
            }
            (Some(leaf), Node::Table(new)) => {
                let mut both = BTreeMap::from([(Key::Position(1), leaf)]);
                merge(&mut both, new);
                Node::Table(both)
            }
            (Some(old), new) => Node::Table(BTreeMap::from([
                (Key::Position(1), old),
                (Key::Position(2), new),
            ])),
        };
        table.insert(key, merged);
    }
}

fn append(table: &mut BTreeMap<Key, Node>, node: Node) {
    let last = table
        .keys()
        .filter_map(|k| {
            if let Key::Position(p) = k {
                Some(*p)
            } else {
                None
            }
        })
        .max();
    table.insert(Key::Position(last.map_or(1, |p| p.saturating_add(1))), node);
}

impl Key {
    fn into_name(self) -> String {
        match self {
            Key::Position(position) => position.to_string(),
            Key::Name(name) => name,
        }
    }
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Node::Leaf(value) => value,
            Node::Table(entries) if entries.keys().all(|k| matches!(k, Key::Position(_))) => {
                Value::Array(entries.into_values().map(Node::into_value).collect())
            }
            Node::Table(entries) => Value::Object(
                entries
                    .into_iter()
                    .map(|(k, n)| (k.into_name(), n.into_value()))
                    .collect(),
            ),
        }
    }
}

impl FieldValue {
    fn into_value(self) -> Value {
        match self {
            FieldValue::Present => Value::Bool(true),
            FieldValue::Text(text) => Value::String(text),
        }
    }
}
