//! An exchange that is over, as `log` sees it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http1::ResponseHead;

/// The facts of an exchange that only its end tells.
#[derive(Debug)]
pub struct Summary<'a> {
    pub status: u16,
    /// The head that the client got; `None` if it got none, or if no handler needs it.
    pub head: Option<&'a ResponseHead>,
    /// Who made the answer.
    pub source: Source,
    /// The bytes that the client sent, head and body.
    pub request_size: u64,
    /// The bytes that were sent to the client, head and body.
    pub response_size: u64,
    /// The status that the upstream gave.
    pub upstream_status: Option<u16>,
    /// The path and query that the client asked for, as they came.
    pub uri: &'a str,
    pub started_at: SystemTime,
    pub latencies: Latencies,
    /// The attempts to reach the upstream, in their order.
    pub tries: &'a [Try],
}

/// Who made an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The upstream.
    Service,
    /// A plugin, or the gateway where no service was to be asked.
    Exit,
    /// The gateway, because something went wrong.
    Error,
}

impl Source {
    /// The word that log entries use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "upstream",
            Self::Exit | Self::Error => "kong",
        }
    }
}

/// Where the time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies {
    /// In the gateway, before the upstream was asked.
    pub gateway: Duration,
    /// From then to the head of the upstream's answer; `None` if none was asked.
    pub upstream: Option<Duration>,
    /// From the first byte of the request to the last one of the answer.
    pub request: Duration,
    /// From the head of the answer to its last byte.
    pub receive: Duration,
}

/// One attempt to reach an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    pub address: SocketAddr,
    pub started_at: SystemTime,
    /// How long it took to choose the address.
    pub balancing: Duration,
    /// Why it went wrong; `None` for the one that answered.
    pub failed: Option<TryFailure>,
    pub keep_alive: bool,
}

/// How an attempt went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TryFailure {
    /// The status that stands for it, such as 502 or 504.
    pub code: u16,
}
