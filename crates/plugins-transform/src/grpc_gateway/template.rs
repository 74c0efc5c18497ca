//! Templates of paths: `/v1/{name=shelves/*}/books/{id}:archive`.

use percent_encoding::percent_decode_str;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    /// Each with its name and the segments that are its value.
    variables: Vec<(String, std::ops::Range<usize>)>,
    /// What stands behind a colon at the end.
    verb: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// Any one segment, but an empty one.
    One,
    /// Any number of segments.
    Rest,
}

impl Template {
    /// `None` if the text is no template.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut template = Self {
            segments: Vec::new(),
            variables: Vec::new(),
            verb: None,
        };
        let mut left = text.strip_prefix('/')?;
        loop {
            left = match left.strip_prefix('{') {
                Some(variable) => {
                    let (variable, rest) = variable.split_once('}')?;
                    let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
                    let start = template.segments.len();
                    let segments = pattern.split('/').map(Segment::parse);
                    template
                        .segments
                        .extend(segments.collect::<Option<Vec<_>>>()?);
                    let end = template.segments.len();
                    template.variables.push((name.to_owned(), start..end));
                    rest
                }
                None => {
                    let end = left.find(['/', ':']).unwrap_or(left.len());
                    let (segment, rest) = left.split_at(end);
                    template.segments.push(Segment::parse(segment)?);
                    rest
                }
            };
            if let Some(rest) = left.strip_prefix('/') {
                left = rest;
                continue;
            }
            template.verb = match left.strip_prefix(':') {
                Some(verb) => Some(verb.to_owned()),
                None if left.is_empty() => None,
                None => return None,
            };
            return Some(template);
        }
    }

    /// The values of the variables, if the path is one of these.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<(&str, String)>> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let mut ends = Vec::with_capacity(self.segments.len());
        if !self.align(&segments, 0, &mut ends) {
            return None;
        }
        let start_of = |at: usize| at.checked_sub(1).map_or(0, |before| ends[before]);
        let value = |range: &std::ops::Range<usize>| {
            let taken = &segments[start_of(range.start)..start_of(range.end)];
            percent_decode_str(&taken.join("/"))
                .decode_utf8_lossy()
                .into_owned()
        };
        let variables = self.variables.iter();
        Some(
            variables
                .map(|(name, range)| (name.as_str(), value(range)))
                .collect(),
        )
    }

    /// Finds where in the path each segment of the template ends, beginning at `from`.
    fn align(&self, path: &[&str], from: usize, ends: &mut Vec<usize>) -> bool {
        let Some(segment) = self.segments.get(ends.len()) else {
            return from == path.len();
        };
        let longest = match segment {
            Segment::Rest => path.len(),
            _ => from + 1,
        };
        let shortest = if *segment == Segment::Rest {
            from
        } else {
            from + 1
        };
        for end in (shortest..=longest).rev() {
            let Some(taken) = path.get(from..end) else {
                return false;
            };
            let fits = match segment {
                Segment::Literal(text) => taken == [text.as_str()],
                Segment::One => taken.iter().all(|part| !part.is_empty()),
                Segment::Rest => true,
            };
            if !fits {
                continue;
            }
            ends.push(end);
            if self.align(path, end, ends) {
                return true;
            }
            ends.pop();
        }
        false
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::One),
            "**" => Some(Self::Rest),
            _ if text.contains(['{', '}', '*']) => None,
            _ => Some(Self::Literal(text.to_owned())),
        }
    }
}
