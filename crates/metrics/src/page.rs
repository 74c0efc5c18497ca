//! A page of samples.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use crate::{Family, Format, Kind};

/// A page under construction: samples by family, in whatever order they come.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, (&'static Family, String)>);

/// A value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Figure {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Figure {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Figure {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Figure {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Figure {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) if value.is_nan() => f.write_str("NaN"),
            Self::Real(value) if value.is_infinite() => {
                f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Real(value) => value.fmt(f),
        }
    }
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample of a counter or a gauge. The values of the labels are in the order of the family's names.
    pub fn sample(
        &mut self,
        family: &'static Family,
        labels: &[&str],
        value: impl Into<Figure>,
    ) -> &mut Self {
        let text = self.of(family);
        line(text, family, "", labels, None, value.into());
        self
    }

    /// Adds one histogram. `counts` says how many observations fell between each bound and the one before it, and, behind
    /// the last bound, how many were larger than that.
    pub fn histogram(
        &mut self,
        family: &'static Family,
        labels: &[&str],
        bounds: &[u32],
        counts: &[u64],
        sum: f64,
    ) -> &mut Self {
        let text = self.of(family);
        let mut seen = 0u64;
        for (index, count) in counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            let bound = bounds.get(index).copied();
            let bound = bound.map_or(f64::INFINITY, f64::from);
            line(
                text,
                family,
                "_bucket",
                labels,
                Some(bound.into()),
                seen.into(),
            );
        }
        line(text, family, "_count", labels, None, seen.into());
        line(text, family, "_sum", labels, None, sum.into());
        self
    }

    /// The families that have samples.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.0.values().map(|(family, _)| *family)
    }

    /// The page as it is sent, families in the order of their names.
    pub fn finish(self, format: Format) -> String {
        let length: usize = self.0.values().map(|(_, text)| text.len() + 256).sum();
        let mut page = String::with_capacity(length);
        for (family, samples) in self.0.values() {
            let (name, kind) = announced(family, format);
            // Writing to a String cannot fail.
            let _ = writeln!(page, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            page.push_str(samples);
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }

    fn of(&mut self, family: &'static Family) -> &mut String {
        let (_, text) = self.0.entry(family.name).or_insert((family, String::new()));
        text
    }
}

/// The name and the type that stand before the samples of a family.
///
/// Samples have the same names in both formats, because readers choose between them as they like and queries must not
/// notice. OpenMetrics wants counters to end in `_total`; those of Kong that do not are of no known type there.
fn announced(family: &Family, format: Format) -> (&'static str, &'static str) {
    match (format, family.kind) {
        (Format::OpenMetrics, Kind::Counter) => match family.name.strip_suffix("_total") {
            Some(stem) => (stem, "counter"),
            None => (family.name, "unknown"),
        },
        _ => (family.name, family.kind.name()),
    }
}

fn line(
    text: &mut String,
    family: &Family,
    suffix: &str,
    labels: &[&str],
    bound: Option<Figure>,
    value: Figure,
) {
    debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
    text.push_str(family.name);
    text.push_str(suffix);
    let mut open = '{';
    for (name, value) in family.labels.iter().zip(labels) {
        text.push(open);
        open = ',';
        text.push_str(name);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
    }
    if let Some(bound) = bound {
        let _ = write!(text, "{open}le=\"{bound}\"");
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(letter),
        }
    }
}
