//! HTTP/2, facing clients and gRPC upstreams.
//!
//! Heads are `http` parts, bodies are chunks of [`bytes::Bytes`] with flow control done here, trailers are header maps.
//!
//! What the library below guards against by itself: CONTINUATION floods (the number of frames follows from the header
//! limit), PING and SETTINGS floods (one acknowledgement is written before more is read), floods of small or empty DATA
//! frames (a budget a connection), and declared lengths that do not hold. Rapid resets and header lists are bounded by [`Settings`].

mod body;
mod check;
mod client;
mod gather;
mod heartbeat;
mod server;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use body::{RecvBody, SendBody};
pub use check::check_request;
pub use client::{Client, Pending, connect};
pub use server::{Exchange, Respond, ServerConnection};

/// The first bytes that an HTTP/2 client sends.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a plain connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// The HTTP/2 preface.
    Http2,
    /// Something else.
    Other,
    /// Too short to tell.
    NeedMore,
}

/// Looks at the first bytes of a plain connection. Give them back with [`crate::Stream::unread`] before a handshake.
pub fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.starts_with(PREFACE) {
        Sniff::Http2
    } else if PREFACE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        Sniff::Other
    }
}

/// Why a connection or a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol says so.
    #[error("HTTP/2: {0}")]
    Protocol(#[source] LibraryError),
    /// The connection broke while sending.
    #[error("HTTP/2: {0}")]
    Send(#[source] std::io::Error),
    /// The peer did not answer a ping in time.
    #[error("HTTP/2: the peer does not answer pings")]
    Unresponsive,
}

/// An error of the library below; only its text is for others.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LibraryError(h2::Error);

impl From<h2::Error> for Error {
    fn from(error: h2::Error) -> Self {
        Self::Protocol(LibraryError(error))
    }
}

impl Error {
    /// This one stream was reset, and not the connection; [`Error::is_refused`] says if the request may be sent again.
    pub fn is_reset(&self) -> bool {
        match self {
            Self::Protocol(LibraryError(error)) => error.reason().is_some() && !error.is_go_away(),
            Self::Send(_) | Self::Unresponsive => false,
        }
    }

    /// The peer guarantees that it has not processed the request (REFUSED_STREAM, or an orderly GOAWAY that names an
    /// earlier stream): it may be sent again.
    pub fn is_refused(&self) -> bool {
        let Self::Protocol(LibraryError(error)) = self else {
            return false;
        };
        let reason = error.reason();
        reason == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away() && error.is_remote() && reason == Some(h2::Reason::NO_ERROR))
    }

    /// The peer cancelled the stream: a client that lost interest.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Protocol(LibraryError(error)) if error.reason() == Some(h2::Reason::CANCEL))
    }
}

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// NO_ERROR: the answer is complete and the rest of the request is not wanted.
    NoError,
    /// PROTOCOL_ERROR: the request is malformed.
    Protocol,
    /// INTERNAL_ERROR: the gateway or its upstream failed midway.
    Internal,
    /// REFUSED_STREAM: not processed at all.
    Refused,
    /// CANCEL: the result is no longer wanted.
    Cancel,
    /// ENHANCE_YOUR_CALM: the peer does too much.
    Calm,
}

impl From<Reason> for h2::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NoError => Self::NO_ERROR,
            Reason::Protocol => Self::PROTOCOL_ERROR,
            Reason::Internal => Self::INTERNAL_ERROR,
            Reason::Refused => Self::REFUSED_STREAM,
            Reason::Cancel => Self::CANCEL,
            Reason::Calm => Self::ENHANCE_YOUR_CALM,
        }
    }
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Streams that the peer may have open.
    pub max_concurrent_streams: u32,
    /// Bytes of a header list, as RFC 9113 counts them (32 more than its text for each field).
    pub max_header_list_bytes: u32,
    /// Flow control window of a stream, in bytes.
    pub stream_window: u32,
    /// Flow control window of the connection, in bytes.
    pub connection_window: u32,
    /// Bytes that wait to be sent on a stream before the sender has to wait.
    pub max_send_buffer: u32,
    /// Streams that the peer may open and reset before they are accepted (CVE-2023-44487).
    pub max_pending_resets: usize,
    /// Streams that we may reset for the peer's errors before the connection is closed (CVE-2025-8671).
    pub max_error_resets: usize,
    /// Pings that find dead peers; `None` sends none.
    pub keepalive: Option<KeepAlive>,
}

/// When to send pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time between a pong and the next ping.
    pub interval: Duration,
    /// Time that a pong may take; the connection ends then.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 128,
            max_header_list_bytes: 32 * 1024,
            stream_window: 1024 * 1024,
            connection_window: 2 * 1024 * 1024,
            max_send_buffer: 256 * 1024,
            max_pending_resets: 32,
            max_error_resets: 256,
            keepalive: None,
        }
    }
}
