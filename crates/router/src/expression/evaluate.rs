//! Whether a request passes an expression.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use regex::Regex;

use super::{Comparison, Expression, Field, Node, Predicate, Test};
use crate::conditions::{Normal, visit_header};

/// What an evaluation leaves behind, beside its outcome.
#[derive(Debug, Default)]
pub(crate) struct Trace<'e> {
    /// The part of the path that the last matching test of `http.path` covered.
    pub(crate) path: Option<Range<usize>>,
    /// Each regular expression that matched, and what it was matched against, in order.
    pub(crate) matched: Vec<(&'e Regex, String)>,
    /// Whether `matched` is asked for.
    pub(crate) wants_captures: bool,
}

impl Expression {
    pub(crate) fn holds(&self, request: &Normal<'_>) -> bool {
        self.evaluate(request, &mut Trace::default())
    }

    pub(crate) fn evaluate<'e>(&'e self, request: &Normal<'_>, trace: &mut Trace<'e>) -> bool {
        self.0.evaluate(request, trace)
    }

    /// Whether any part of it looks at the path.
    pub(crate) fn reads_path(&self) -> bool {
        self.0.reads_path()
    }
}

impl Node {
    fn evaluate<'e>(&'e self, request: &Normal<'_>, trace: &mut Trace<'e>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.evaluate(request, trace)),
            Self::Any(nodes) => nodes.iter().any(|node| node.evaluate(request, trace)),
            Self::Not(node) => !node.evaluate(request, trace),
            Self::Test(predicate) => predicate.evaluate(request, trace),
        }
    }

    fn reads_path(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::reads_path),
            Self::Not(node) => node.reads_path(),
            Self::Test(predicate) => {
                matches!(
                    predicate.field,
                    Field::Path | Field::SegmentCount | Field::Segments(..)
                )
            }
        }
    }
}

impl Predicate {
    /// A field without a value fails every test, "is not" included.
    fn evaluate<'e>(&'e self, request: &Normal<'_>, trace: &mut Trace<'e>) -> bool {
        let mut seen = false;
        let mut passed_one = false;
        let mut passed_all = true;
        self.field.visit(request, &mut |value| {
            // As soon as the outcome is known, later values leave no trace.
            if (self.any && passed_one) || !passed_all {
                return;
            }
            seen = true;
            if self.test(value, trace) {
                passed_one = true;
            } else if !self.any {
                passed_all = false;
            }
        });
        seen && if self.any { passed_one } else { passed_all }
    }

    fn test<'e>(&'e self, found: Found<'_>, trace: &mut Trace<'e>) -> bool {
        match (found, &self.test) {
            (Found::Text(text), test) => self.test_text(text, test, trace),
            (Found::Number(number), Test::Number(comparison, wanted)) => {
                comparison.holds(number, *wanted)
            }
            (Found::Address(ip), Test::Address { is, address }) => (ip == *address) == *is,
            (Found::Address(ip), Test::Network { inside, network }) => {
                network.contains(&ip) == *inside
            }
            _ => false,
        }
    }

    fn test_text<'e>(&'e self, text: &str, test: &'e Test, trace: &mut Trace<'e>) -> bool {
        let text =
            if self.lower && (!text.is_ascii() || text.bytes().any(|b| b.is_ascii_uppercase())) {
                Cow::Owned(text.to_lowercase())
            } else {
                Cow::Borrowed(text)
            };
        let span = match test {
            Test::Equal(wanted) => (*text == **wanted).then(|| 0..text.len()),
            Test::Prefix(wanted) => text.starts_with(&**wanted).then_some(0..wanted.len()),
            Test::Suffix(wanted) => text
                .ends_with(&**wanted)
                .then(|| text.len() - wanted.len()..text.len()),
            Test::Regex(regex) => {
                let span = regex.find(&text).map(|found| found.range());
                if span.is_some() && trace.wants_captures {
                    trace.matched.push((regex, text.into_owned()));
                }
                span
            }
            Test::NotEqual(unwanted) => return *text != **unwanted,
            Test::Contains(wanted) => return text.contains(&**wanted),
            Test::Number(..) | Test::Address { .. } | Test::Network { .. } => return false,
        };
        let passed = span.is_some();
        if passed && self.field == Field::Path {
            trace.path = span;
        }
        passed
    }
}

enum Found<'a> {
    Text(&'a str),
    Number(i64),
    Address(IpAddr),
}

impl Field {
    /// Visits the field's values; text that is not UTF-8 counts as no value.
    fn visit(&self, request: &Normal<'_>, visitor: &mut dyn FnMut(Found<'_>)) {
        let r = request.request;
        let mut text = |bytes: &[u8]| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                visitor(Found::Text(text));
            }
        };
        match self {
            Self::Method => text(r.method),
            Self::Host => {
                if let Some(host) = request.host {
                    text(host);
                }
            }
            Self::Path => text(request.path.as_bytes()),
            Self::Protocol => text(r.scheme.name().as_bytes()),
            Self::Sni => {
                if let Some(sni) = r.sni {
                    text(sni.as_bytes());
                }
            }
            Self::Header(name) => visit_header(r.headers, name, &mut text),
            Self::Query(name) => visit_query(r.query, name, &mut text),
            Self::Segments(first, last) => {
                if let Some(segments) = path_segments(request.path, *first, *last) {
                    text(segments.as_bytes());
                }
            }
            Self::SegmentCount => visitor(Found::Number(as_number(count_segments(request.path)))),
            Self::SourceIp => visit_some(r.source.map(|peer| Found::Address(peer.ip())), visitor),
            Self::DestinationIp => {
                visit_some(r.destination.map(|own| Found::Address(own.ip())), visitor)
            }
            Self::SourcePort => visit_some(
                r.source.map(|peer| Found::Number(peer.port().into())),
                visitor,
            ),
            Self::DestinationPort => {
                visit_some(request.port.map(|port| Found::Number(port.into())), visitor)
            }
            Self::Missing => {}
        }
    }
}

fn visit_some(found: Option<Found<'_>>, visitor: &mut dyn FnMut(Found<'_>)) {
    if let Some(found) = found {
        visitor(found);
    }
}

fn as_number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What lies between the slashes; a slash at the end opens no segment.
fn segments_of(path: &str) -> Option<&str> {
    let inner = path.get(1..)?;
    let inner = inner.trim_end_matches('/');
    (!inner.is_empty()).then_some(inner)
}

fn count_segments(path: &str) -> usize {
    segments_of(path).map_or(0, |inner| inner.split('/').count())
}

fn path_segments(path: &str, first: usize, last: usize) -> Option<&str> {
    let inner = segments_of(path)?;
    let mut start = 0;
    let mut from = None;
    for (number, segment) in inner.split('/').enumerate() {
        let end = start + segment.len();
        if number == first {
            from = Some(start);
        }
        if number == last {
            return inner.get(from?..end);
        }
        start = end + 1;
    }
    None
}

/// Visits the values of one argument; an argument without `=` has the empty value.
fn visit_query(query: &[u8], name: &str, visitor: &mut dyn FnMut(&[u8])) {
    for argument in query
        .split(|b| *b == b'&')
        .filter(|argument| !argument.is_empty())
    {
        let mut halves = argument.splitn(2, |b| *b == b'=');
        let key = halves.next().unwrap_or_default();
        if *unescape(key) == *name.as_bytes() {
            visitor(&unescape(halves.next().unwrap_or_default()));
        }
    }
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = (byte == b'%')
            .then(|| Some(digit(text.get(at + 1)?)? << 4 | digit(text.get(at + 2)?)?))
            .flatten()
            .and_then(|value| u8::try_from(value).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    Cow::Owned(out)
}

impl Comparison {
    fn holds(self, number: i64, wanted: i64) -> bool {
        match self {
            Self::Equal => number == wanted,
            Self::NotEqual => number != wanted,
            Self::Greater => number > wanted,
            Self::GreaterOrEqual => number >= wanted,
            Self::Less => number < wanted,
            Self::LessOrEqual => number <= wanted,
        }
    }
}
