//! What can end an exchange early: whose fault it was, what the client is told, and whether another try is safe.

use std::io;

/// An error of the data plane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's bytes are no acceptable request.
    #[error("client sent an invalid request: {0}")]
    Request(http1::Error),
    /// The client's HTTP/2 stream is no acceptable request.
    #[error("client sent an invalid HTTP/2 request: {0}")]
    Http2Request(&'static str),
    /// A request over plain HTTP came to a port for TLS.
    #[error("client sent plain HTTP request to HTTPS port")]
    PlainHttp,
    /// The client stopped sending its body.
    #[error("client timed out while sending its body")]
    RequestTimeout,
    /// The body is longer than `client_max_body_size`.
    #[error("client intended to send too large a body")]
    BodyTooLarge,
    /// The client went away; nobody is there to be answered.
    #[error("client closed the connection: {0}")]
    ClientGone(io::Error),
    /// The client does not take its answer.
    #[error("client timed out while receiving")]
    ClientStalled,
    /// No route matches.
    #[error("no Route matched with those values")]
    NoRoute,
    /// The route that matches has no service.
    #[error("no Service found with those values")]
    NoService,
    /// The route is for https alone; the status is the route's `https_redirect_status_code`.
    #[error("request over http to an https route")]
    HttpsRequired(u16),
    /// A gRPC route was asked over HTTP/1.
    #[error("request over HTTP/1 to a gRPC route")]
    Http2Required,
    /// A gRPC route was asked for something else.
    #[error("Non-gRPC request matched gRPC route")]
    NotGrpc,
    /// A grpcs route was asked without TLS.
    #[error("gRPC request matched gRPCs route")]
    GrpcsRequired,
    /// The upstream's name does not resolve.
    #[error("name resolution failed: {0}")]
    Resolve(#[from] net::ResolveError),
    /// The upstream entity has no target that could take the request.
    #[error("failure to get a peer from the ring-balancer")]
    NoPeer,
    /// Every target of the upstream handles as many requests as it may, and as many wait as may.
    #[error("all targets of the upstream are busy")]
    Busy,
    /// No connection to the upstream; nothing of the request was sent.
    #[error("upstream: {0}")]
    Connect(#[from] net::ConnectError),
    /// The upstream ended the connection before its answer.
    #[error("upstream closed the connection before it answered: {0}")]
    UpstreamClosed(io::Error),
    /// The upstream was too slow.
    #[error("upstream timed out")]
    UpstreamTimeout,
    /// The upstream's answer cannot be understood.
    #[error("upstream sent an invalid response: {0}")]
    Response(http1::Error),
    /// An HTTP/2 upstream failed.
    #[error("upstream: {0}")]
    Http2Upstream(net::h2::Error),
    /// The answer broke off after its head was sent.
    #[error("upstream cut its answer short")]
    Truncated,
    /// Something in here went wrong.
    #[error("internal error: {0}")]
    Internal(&'static str),
    /// Bodies that plugins look at take all the memory that they may.
    #[error("bodies that are held for plugins have used up silverback_held_bodies")]
    TooMuchHeld,
    /// A temporary file for a request body cannot be used.
    #[error("cannot buffer the request body: {0}")]
    Spill(io::Error),
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Client,
    Gateway,
    Upstream,
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Request(_)
            | Self::Http2Request(_)
            | Self::PlainHttp
            | Self::RequestTimeout
            | Self::BodyTooLarge
            | Self::ClientGone(_)
            | Self::ClientStalled => Blame::Client,
            Self::NoRoute
            | Self::NoService
            | Self::HttpsRequired(_)
            | Self::Http2Required
            | Self::NotGrpc
            | Self::GrpcsRequired => Blame::Client,
            Self::Internal(_) | Self::Spill(_) | Self::TooMuchHeld => Blame::Gateway,
            Self::Resolve(_)
            | Self::NoPeer
            | Self::Busy
            | Self::Connect(_)
            | Self::UpstreamClosed(_)
            | Self::UpstreamTimeout => Blame::Upstream,
            Self::Response(_) | Self::Http2Upstream(_) | Self::Truncated => Blame::Upstream,
        }
    }

    /// The status that the client is answered with; nginx's 499 when nobody is there.
    pub fn status(&self) -> u16 {
        match self {
            Self::Request(error) => error.status(),
            Self::Http2Request(_) | Self::PlainHttp => 400,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::ClientGone(_) | Self::ClientStalled => 499,
            Self::NoRoute => 404,
            Self::NoService | Self::NoPeer | Self::Busy | Self::Resolve(_) | Self::TooMuchHeld => {
                503
            }
            Self::HttpsRequired(status) => *status,
            Self::Http2Required => 426,
            Self::NotGrpc => 415,
            Self::GrpcsRequired => 200,
            Self::Connect(error) if error.kind == net::ConnectFailure::TimedOut => 504,
            Self::UpstreamTimeout => 504,
            Self::Connect(_)
            | Self::UpstreamClosed(_)
            | Self::Response(_)
            | Self::Http2Upstream(_)
            | Self::Truncated => 502,
            Self::Internal(_) | Self::Spill(_) => 500,
        }
    }

    /// Whether the upstream provably never saw the request, so that even a POST may go elsewhere.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Http2Upstream(error) => error.is_refused(),
            _ => false,
        }
    }

    /// Whether an idempotent request may be tried elsewhere: the upstream failed, timed out or
    /// said something that is no answer.
    pub fn is_upstream_failure(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::UpstreamClosed(_)
                | Self::UpstreamTimeout
                | Self::Response(_)
                | Self::Http2Upstream(_)
        )
    }
}
