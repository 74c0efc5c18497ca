//! Plugins that tell what happened: logs, metrics and traces. One folder each.

pub mod datadog;
mod entries;
pub mod file_log;
pub mod http_log;
mod http_server;
pub mod loggly;
pub mod opentelemetry;
pub mod prometheus;
mod propagation;
mod queue;
mod severity;
mod stats;
pub mod statsd;
mod stream;
pub mod syslog;
pub mod tcp_log;
#[cfg(test)]
mod traced;
pub mod udp_log;
pub mod zipkin;

/// Every family of metrics that plugins of this crate show.
pub const METRICS: &[&[&plugin_api::Family]] = &[prometheus::METRICS, queue::METRICS];
