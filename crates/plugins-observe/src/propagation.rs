//! Trace context between services: reading it from a request's headers, and writing it into those of the upstream.
//!
//! Each format is a file with `extract` and `inject`. What a client sends is untrusted: a header that is not exactly of its
//! format counts as none, one that stands there twice as well, and baggage is bounded. Headers are only ever written from
//! ids, flags and percent-encoded text.

mod aws;
mod b3;
mod b3_single;
mod baggage;
mod datadog;
mod gcp;
mod ids;
mod jaeger;
mod ot;
mod settings;
mod w3c;

use plugin_api::{Exchange, Failure, Headers, LogEdit, LogMode};
use serde::Deserialize;

use baggage::Baggage;
pub use ids::{SpanId, TraceId, Width};
pub use settings::Propagation;

/// How a trace context is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    W3c,
    B3,
    B3Single,
    Jaeger,
    Ot,
    Aws,
    Gcp,
    Datadog,
}

/// What a request says of the trace that it belongs to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    pub trace_id: Option<TraceId>,
    /// How long the trace id was that the client sent.
    width: Option<Width>,
    /// The span of the client.
    pub span_id: Option<SpanId>,
    /// The parent of that span.
    pub parent_id: Option<SpanId>,
    /// Whether the server's span has the id of the client's, instead of being a child of it.
    pub shares_span: bool,
    /// Whether the trace is recorded, if somebody has decided that.
    pub sampled: Option<bool>,
    /// B3: record it whatever it costs.
    debug: bool,
    baggage: Baggage,
    /// The format that it came in.
    format: Option<Format>,
}

/// The place of the upstream's request in its trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent_id: Option<SpanId>,
    /// `None` leaves the decision to the upstream, in formats that can say so.
    pub sampled: Option<bool>,
}

/// What a format writes: a place, with what came along with the context.
struct Outgoing<'a> {
    place: Place,
    context: &'a Context,
}

/// The trace id as a format has written it.
type Written = Result<String, Failure>;

impl Outgoing<'_> {
    /// The width of the trace id: that in which it came, if the format allows it, or the format's first.
    fn width(&self, allowed: &[Width]) -> Width {
        let came = self.context.width.filter(|width| allowed.contains(width));
        came.or(allowed.first().copied()).unwrap_or(Width::Sixteen)
    }
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::W3c => "w3c",
            Self::B3 | Self::B3Single => "b3",
            Self::Jaeger => "jaeger",
            Self::Ot => "ot",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Datadog => "datadog",
        }
    }

    /// The context in this format; `None` if there is none, or none that can be believed. `B3` reads both of its forms.
    fn extract(self, headers: &Headers) -> Option<Context> {
        let context = match self {
            Self::W3c => w3c::extract(headers),
            Self::B3 | Self::B3Single => b3::extract(headers),
            Self::Jaeger => jaeger::extract(headers),
            Self::Ot => ot::extract(headers),
            Self::Aws => aws::extract(headers),
            Self::Gcp => gcp::extract(headers),
            Self::Datadog => datadog::extract(headers),
        };
        context.map(|context| Context {
            format: context.format.or(Some(self)),
            ..context
        })
    }

    /// Writes the headers; gives the trace id as it stands in them.
    fn inject(self, outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
        match self {
            Self::W3c => w3c::inject(outgoing, headers),
            Self::B3 => b3::inject(outgoing, headers),
            Self::B3Single => b3_single::inject(outgoing, headers),
            Self::Jaeger => jaeger::inject(outgoing, headers),
            Self::Ot => ot::inject(outgoing, headers),
            Self::Aws => aws::inject(outgoing, headers),
            Self::Gcp => gcp::inject(outgoing, headers),
            Self::Datadog => datadog::inject(outgoing, headers),
        }
    }
}

impl Propagation {
    /// The context in the first format that the request has.
    pub fn extract(&self, headers: &Headers) -> Context {
        let mut found = self.extract.iter();
        let found = found.find_map(|format| format.extract(headers));
        found.unwrap_or_default()
    }

    /// Removes what is to be removed, and tells the upstream its place. The trace id in each format goes into the log entry.
    pub fn inject(
        &self,
        exchange: &mut Exchange<'_>,
        context: &Context,
        place: Place,
    ) -> Result<(), Failure> {
        let headers = &mut exchange.head.headers;
        for name in &self.clear {
            headers.remove(name.as_str());
        }
        let outgoing = Outgoing { place, context };
        for format in self.formats(context) {
            let trace_id = format.inject(&outgoing, headers)?;
            exchange.work.log_edits.push(LogEdit {
                path: format!("trace_id.{}", format.name()).into(),
                value: Some(trace_id.into()),
                mode: LogMode::Always,
            });
        }
        Ok(())
    }
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|line| is_named(line.name, name));
    let value = values.next()?.value;
    match values.next() {
        None => std::str::from_utf8(value).ok(),
        Some(_) => None,
    }
}

fn is_named(found: &[u8], name: &str) -> bool {
    found.eq_ignore_ascii_case(name.as_bytes())
}

/// A flag in words that several formats share.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
