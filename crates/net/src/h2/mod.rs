//! HTTP/2, facing clients and gRPC upstreams.
//!
//! Heads are `http` parts, bodies are chunks of [`Bytes`] with flow control done here, trailers are header maps.

use bytes::Bytes;
use http::{HeaderMap, request, response};

use crate::Stream;

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

/// Looks at the first bytes of a plain connection. Give them back with [`Stream::unread`] before a handshake.
pub fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.len() >= PREFACE.len() {
        if bytes.starts_with(PREFACE) {
            Sniff::Http2
        } else {
            Sniff::Other
        }
    } else if PREFACE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        Sniff::Other
    }
}

/// Why a connection or a stream ended.
#[derive(Debug, thiserror::Error)]
#[error("HTTP/2: {0}")]
pub struct Error(String);

impl Error {
    /// The peer reset this one stream, or refused it: for a client, [`Error::is_refused`] says if it may be retried.
    pub fn is_reset(&self) -> bool {
        unimplemented!()
    }

    /// The peer guarantees that it has not processed the request (REFUSED_STREAM, or a GOAWAY that names an earlier
    /// stream): it may be sent again.
    pub fn is_refused(&self) -> bool {
        unimplemented!()
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

/// Limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Streams that the peer may have open.
    pub max_concurrent_streams: u32,
    /// Bytes of a header list, as RFC 9113 counts them.
    pub max_header_list_bytes: u32,
    /// Flow control window of a stream, in bytes.
    pub stream_window: u32,
    /// Flow control window of the connection, in bytes.
    pub connection_window: u32,
    /// Bytes that wait to be sent on a stream before the sender has to wait.
    pub max_send_buffer: usize,
    /// Streams that the peer may open and reset before they are accepted (CVE-2023-44487).
    pub max_pending_resets: usize,
    /// Streams that we may reset for the peer's errors before the connection is closed.
    pub max_error_resets: usize,
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
        }
    }
}

/// A connection from a client.
pub struct ServerConnection(());

impl ServerConnection {
    /// Exchanges prefaces and settings.
    pub async fn handshake(stream: Stream, settings: &Settings) -> Result<Self, Error> {
        let _ = (stream, settings);
        unimplemented!()
    }

    /// The next request; `None` when the connection has ended in order. The connection makes progress, for all of its
    /// streams, only while this is awaited: keep calling it until `None` or an error. Cancel safe.
    pub async fn accept(&mut self) -> Option<Result<Exchange, Error>> {
        unimplemented!()
    }

    /// Announces the end: no new streams, those under way are finished. Keep calling [`ServerConnection::accept`].
    pub fn shut_down(&mut self) {
        unimplemented!()
    }

    /// Whether any stream is open.
    pub fn is_idle(&self) -> bool {
        unimplemented!()
    }
}

/// A request with the means to answer it.
pub struct Exchange {
    /// Method, URI (scheme, authority and path from the pseudo headers) and headers. Checked: see [`check_request`].
    pub head: request::Parts,
    /// The request body.
    pub body: RecvBody,
    /// The answer.
    pub respond: Respond,
}

/// Checks what HTTP/1 would not survive and RFC 9113 section 8 forbids: connection-specific headers, TE other than
/// trailers, a Host that differs from `:authority`, control characters, a path that does not begin with a slash.
pub fn check_request(head: &request::Parts) -> Result<(), &'static str> {
    let _ = head;
    unimplemented!()
}

/// An incoming body.
pub struct RecvBody(());

impl RecvBody {
    /// Whether the message ends here: no more data and no trailers.
    pub fn is_end(&self) -> bool {
        unimplemented!()
    }

    /// The declared `content-length` is enforced by the protocol; this is the next chunk, `None` at the end. The peer may
    /// send as much again when the chunk after it is asked for: a slow consumer slows the sender.
    pub async fn data(&mut self) -> Option<Result<Bytes, Error>> {
        unimplemented!()
    }

    /// The trailers, after the last chunk.
    pub async fn trailers(&mut self) -> Result<Option<HeaderMap>, Error> {
        unimplemented!()
    }
}

/// The answer to a request, not yet begun.
pub struct Respond(());

impl Respond {
    /// Sends an informational head (100, 103).
    pub fn send_informational(&mut self, head: response::Parts) -> Result<(), Error> {
        let _ = head;
        unimplemented!()
    }

    /// Sends the head; `end` says that no body follows.
    pub fn send_head(self, head: response::Parts, end: bool) -> Result<SendBody, Error> {
        let _ = (head, end);
        unimplemented!()
    }

    /// Resets the stream instead.
    pub fn reset(self, reason: Reason) {
        let _ = reason;
        unimplemented!()
    }

    /// Waits until the client resets the stream or goes away.
    pub async fn closed(&mut self) {
        unimplemented!()
    }
}

/// An outgoing body. Dropped before its end, it resets the stream.
pub struct SendBody(());

impl SendBody {
    /// Sends a chunk as the peer's window allows, waiting for it; `end` marks the last one.
    pub async fn data(&mut self, chunk: Bytes, end: bool) -> Result<(), Error> {
        let _ = (chunk, end);
        unimplemented!()
    }

    /// Sends trailers, which end the message.
    pub fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Error> {
        let _ = trailers;
        unimplemented!()
    }

    /// Resets the stream.
    pub fn reset(&mut self, reason: Reason) {
        let _ = reason;
        unimplemented!()
    }

    /// Waits until the peer resets the stream or goes away.
    pub async fn closed(&mut self) {
        unimplemented!()
    }
}

/// Opens an HTTP/2 connection to an upstream. The driver has to be polled (spawned) for as long as the connection is used; it ends with
/// the connection.
pub async fn connect(
    stream: Stream,
    settings: &Settings,
) -> Result<(Client, impl Future<Output = Result<(), Error>> + use<>), Error> {
    let _ = (stream, settings);
    if true {
        unimplemented!()
    }
    Ok((Client(()), async { Ok(()) }))
}

/// The sending half of a connection to an upstream; clones share the connection.
#[derive(Clone)]
pub struct Client(());

impl Client {
    /// Whether a request can be sent now: the connection is open and the upstream accepts another stream.
    pub fn is_ready(&mut self) -> bool {
        unimplemented!()
    }

    /// Waits until the upstream accepts another stream; an error means that the connection is finished.
    pub async fn ready(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Sends a request head; `end` says that no body follows. The URI gives the pseudo headers.
    pub fn send(&mut self, head: request::Parts, end: bool) -> Result<(SendBody, Pending), Error> {
        let _ = (head, end);
        unimplemented!()
    }
}

/// A response that has not arrived yet. Dropped, it resets the stream.
pub struct Pending(());

impl Pending {
    /// The response head and its body; informational heads are skipped. Cancel safe.
    pub async fn head(&mut self) -> Result<(response::Parts, RecvBody), Error> {
        unimplemented!()
    }
}
