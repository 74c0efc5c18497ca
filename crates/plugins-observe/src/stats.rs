//! The protocol of StatsD: what can be measured of an exchange, how a value is written, and where it is sent.

mod server;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::Summary;
use serde::Deserialize;

use crate::queue::Queue;
pub use server::{Server, Transport};

/// A value that every exchange has, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    RequestCount,
    RequestSize,
    ResponseSize,
    Latency,
    UpstreamLatency,
    KongLatency,
}

impl Measure {
    /// Its name within that of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestCount => "request.count",
            Self::RequestSize => "request.size",
            Self::ResponseSize => "response.size",
            Self::Latency => "latency",
            Self::UpstreamLatency => "upstream_latency",
            Self::KongLatency => "kong_latency",
        }
    }

    /// The value: bytes, milliseconds or one; `None` if the exchange has none.
    pub fn of(self, summary: &Summary<'_>) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let latencies = &summary.latencies;
        Some(match self {
            Self::RequestCount => 1,
            Self::RequestSize => summary.request_size,
            Self::ResponseSize => summary.response_size,
            Self::Latency => millis(latencies.request),
            Self::UpstreamLatency => millis(latencies.upstream?),
            Self::KongLatency => millis(latencies.gateway),
        })
    }
}

/// What becomes of values at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatType {
    Counter,
    Gauge,
    Histogram,
    Meter,
    Set,
    Timer,
    Distribution,
}

impl StatType {
    fn sign(self) -> &'static str {
        match self {
            Self::Counter => "c",
            Self::Gauge => "g",
            Self::Histogram => "h",
            Self::Meter => "m",
            Self::Set => "s",
            Self::Timer => "ms",
            Self::Distribution => "d",
        }
    }
}

/// How the consumer of a request is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerBy {
    ConsumerId,
    CustomId,
    Username,
}

/// Appends `:VALUE|TYPE` and the sample rate.
///
/// Compat: the rate is announced and does not keep values back.
pub fn write_value(
    text: &mut String,
    value: impl std::fmt::Display,
    kind: StatType,
    sample_rate: Option<f64>,
) {
    // Writing to a String cannot fail.
    let _ = write!(text, ":{value}|{}", kind.sign());
    if let Some(rate) = sample_rate.filter(|rate| (rate - 1.0).abs() > f64::EPSILON) {
        let _ = write!(text, "|@{rate}");
    }
}

/// Puts the metrics of an exchange into a queue to a [`Server`], if there are any.
pub fn push_lines(queue: &Arc<Queue>, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        queue.push(lines.join("\n").as_bytes());
    }
}

/// A text that may stand in the name of a metric: what the protocol puts behind names becomes an underscore.
pub fn in_name(text: &str) -> String {
    text.replace(
        |one: char| one.is_control() || matches!(one, ':' | '|'),
        "_",
    )
}

/// A text that may be the value of a tag.
pub fn in_tag(text: &str) -> String {
    in_name(text).replace([',', '#'], "_")
}

/// A name without dots, which would make it several parts of a metric's name.
pub fn one_part(text: &str) -> String {
    in_name(text).replace('.', "_")
}
