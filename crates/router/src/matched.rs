//! What a match tells.

use std::ops::Range;

use regex::{Captures as RegexCaptures, Regex};

/// The route that a request goes to, and how its path matched.
#[derive(Debug, Clone)]
pub struct Match<'r, T> {
    /// What was put into the router.
    pub route: &'r T,
    /// The part of the normalized path that the route's path covers; `None` if the route has no path.
    pub path: Option<Range<usize>>,
    /// What the groups of regular expressions caught; `None` where there are no groups.
    pub captures: Option<Box<Captures>>,
}

impl<T> Match<'_, T> {
    /// The length of the path that `strip_path` takes away; `None` if the route has no path.
    pub fn matched_len(&self) -> Option<usize> {
        self.path.as_ref().map(Range::len)
    }

    /// The covered part of the path, for `X-Forwarded-Prefix`.
    pub fn matched_path<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        path.get(self.path.clone()?)
    }
}

/// What regular expressions caught: the whole match as number 0, and the groups by number and by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    numbered: Vec<Option<String>>,
    named: Vec<(String, String)>,
}

impl Captures {
    /// A group by its number; 0 is the whole match.
    pub fn number(&self, number: usize) -> Option<&str> {
        self.numbered.get(number)?.as_deref()
    }

    /// A group by its name.
    pub fn name(&self, name: &str) -> Option<&str> {
        self.named
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Numbered groups in order, those that took no part as `None`.
    pub fn numbered(&self) -> &[Option<String>] {
        &self.numbered
    }

    /// Named groups that took part.
    pub fn named(&self) -> &[(String, String)] {
        &self.named
    }

    /// Adds what an expression catches; later expressions overwrite earlier ones.
    pub(crate) fn add(&mut self, regex: &Regex, text: &str) {
        if let Some(found) = regex.captures(text) {
            self.merge(regex, &found, regex.captures_len());
        }
    }

    /// Like [`Self::add`], without the last group, which the router has added itself.
    pub(crate) fn add_without_last(&mut self, regex: &Regex, found: &RegexCaptures<'_>) {
        self.merge(regex, found, regex.captures_len().saturating_sub(1));
    }

    fn merge(&mut self, regex: &Regex, found: &RegexCaptures<'_>, groups: usize) {
        if self.numbered.len() < groups {
            self.numbered.resize(groups, None);
        }
        for (number, name) in regex.capture_names().enumerate().take(groups) {
            let Some(value) = found.get(number) else {
                continue;
            };
            let value = value.as_str().to_owned();
            if let Some(name) = name {
                self.named.retain(|(n, _)| n != name);
                self.named.push((name.to_owned(), value.clone()));
            }
            self.numbered[number] = Some(value);
        }
    }

    /// Compat: the whole match alone counts as no captures.
    pub(crate) fn if_any(self) -> Option<Box<Self>> {
        let groups = self.numbered.iter().skip(1).any(Option::is_some);
        groups.then(|| Box::new(self))
    }
}
