//! Plugins that let requests through, hold them back or answer them. One folder each.

pub mod proxy_cache;
pub mod rate_limiting;
pub mod redirect;
pub mod request_size_limiting;
pub mod request_termination;
pub mod response_ratelimiting;

/// Every family of metrics that these plugins show.
pub const METRICS: &[&[&plugin_api::Family]] = &[proxy_cache::METRICS, counting::METRICS];

mod counting;
mod limits;
