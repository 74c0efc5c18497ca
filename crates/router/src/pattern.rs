//! Regular expressions and path rules.

use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::Error;
use crate::tree::MAX_KEY;

/// A compiled pattern may take this much memory; more is refused when the route is compiled.
const SIZE_LIMIT: usize = 10 << 20;
/// The cache of one lazily built automaton.
const DFA_LIMIT: usize = 1 << 20;

/// Compiles an untrusted pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(DFA_LIMIT)
        .build()
        .map_err(|error| Error::Regex {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        })
}

/// The bytes that every match starts with, if the pattern is anchored at the start; empty if nothing is known.
pub(crate) fn literal_start(pattern: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(parts) = anchored_parts(pattern) {
        let _is_all = parts.iter().all(|part| append_literal(part, &mut out));
    }
    out.truncate(MAX_KEY);
    out
}

/// What follows the anchor at the start of a pattern.
fn anchored_parts(pattern: &str) -> Option<Vec<Hir>> {
    let HirKind::Concat(mut parts) = regex_syntax::Parser::new().parse(pattern).ok()?.into_kind()
    else {
        return None;
    };
    let anchored = matches!(parts.first()?.kind(), HirKind::Look(Look::Start));
    anchored.then(|| parts.split_off(1))
}

/// Appends what the part starts with; says whether that was all of it.
fn append_literal(part: &Hir, out: &mut Vec<u8>) -> bool {
    match part.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Capture(capture) => append_literal(&capture.sub, out),
        HirKind::Concat(parts) => parts.iter().all(|part| append_literal(part, out)),
        _ => false,
    }
}

/// What is left to check of a path once the index has been walked.
#[derive(Debug, Clone)]
pub(crate) enum PathRule {
    /// Any path.
    None,
    /// The key in the index is the whole prefix.
    Prefix,
    Pattern(Arc<PathPattern>),
}

#[derive(Debug)]
pub(crate) enum PathPattern {
    Regex(Regex),
    /// A prefix that the index does not hold in full.
    Long(Box<str>),
    /// The whole path.
    Exact(Box<str>),
    /// An expression with a last group, added by the router, for what follows the part that the route asks for.
    WithRest(Regex),
    /// The first that matches counts.
    Several(Vec<Arc<PathPattern>>),
}

impl PathPattern {
    /// Compiles an anchored expression; plain text, with or without an anchor at its end, needs no automaton.
    pub(crate) fn compile(pattern: &str) -> Result<Self, Error> {
        Ok(match Self::plain_text(pattern) {
            Some(plain) => plain,
            None => Self::Regex(compile(pattern)?),
        })
    }

    fn plain_text(pattern: &str) -> Option<Self> {
        let mut parts = anchored_parts(pattern)?;
        let ends = matches!(parts.last()?.kind(), HirKind::Look(Look::End));
        if ends {
            parts.pop();
        }
        let mut text = Vec::new();
        for part in parts {
            match part.kind() {
                HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
                _ => return None,
            }
        }
        let text = String::from_utf8(text).ok()?.into_boxed_str();
        Some(if ends {
            Self::Exact(text)
        } else {
            Self::Long(text)
        })
    }

    /// The part of the path that matched, and the expression that did.
    pub(crate) fn find<'p>(
        &'p self,
        path: &str,
    ) -> Option<(Option<Range<usize>>, Option<&'p Regex>)> {
        match self {
            Self::Regex(regex) => regex
                .find(path)
                .map(|found| (Some(found.range()), Some(regex))),
            Self::Long(prefix) => path
                .starts_with(&**prefix)
                .then_some((Some(0..prefix.len()), None)),
            Self::Exact(text) => (path == &**text).then_some((Some(0..text.len()), None)),
            Self::WithRest(regex) => {
                let found = regex.captures(path)?;
                let rest = found.get(regex.captures_len() - 1);
                Some((rest.map(|rest| 0..path.len() - rest.len()), Some(regex)))
            }
            Self::Several(patterns) => patterns.iter().find_map(|pattern| pattern.find(path)),
        }
    }
}
