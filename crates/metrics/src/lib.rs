//! What a metrics page is made of: families that are declared once, and a page of their samples that is written in the
//! format which the reader asks for.
//!
//! A [`Family`] is a constant. Samples name it, and the reference of metrics is written from it, so that nothing is shown
//! that is not documented. Nobody keeps a figure here: whoever has figures writes them when the page is asked for.

mod format;
mod page;

pub use format::Format;
pub use page::{Figure, Page};

/// What the values of a family mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, but for a restart.
    Counter,
    Gauge,
    /// How many observations were at most as large as each of some bounds, and their sum.
    Histogram,
}

impl Kind {
    /// The word of both formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of samples: they share a name and the names of their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// One line, without quotation marks and backslashes, which the formats escape in different ways.
    pub help: &'static str,
    /// In the order in which samples give their values.
    pub labels: &'static [&'static str],
}

impl Family {
    /// A family of counters.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            help,
            labels,
        }
    }

    /// A family of gauges.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            help,
            labels,
        }
    }

    /// A family of histograms; the label of the bounds is not named.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Histogram,
            help,
            labels,
        }
    }
}

#[cfg(test)]
mod tests;
