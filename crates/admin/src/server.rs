//! Serving one connection of the control side: HTTP/1.1 and HTTP/2 by hyper, with bounds on what a client may cost.

mod opening;

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use opening::Opening;

/// What a connection may cost, and what it may speak.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request head may take to arrive, and so how long a connection may idle.
    pub head_timeout: Duration,
    /// How many header fields a request may have.
    pub max_headers: usize,
    /// The size of the largest request head, in bytes; at least 8192.
    pub max_head_size: usize,
    /// How many HTTP/2 streams may be open at once.
    pub max_streams: u32,
    /// Whether HTTP/2 is understood besides HTTP/1.
    pub http2: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(60),
            max_headers: 100,
            max_head_size: 64 * 1024,
            max_streams: 100,
            http2: true,
        }
    }
}

/// Serves `router` on a stream that was accepted elsewhere, until the client leaves or `shutdown` resolves.
///
/// After `shutdown` the request in flight is finished and the connection closed. Broken connections are not errors:
/// clients come and go.
pub async fn serve_connection<IO>(
    io: IO,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if !limits.http2 {
        builder = builder.http1_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_size.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_head_size).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout);
    let io = Opening::new(io, limits.head_timeout);
    let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    tokio::pin!(connection, shutdown);
    let mut closing = false;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a control connection ended early");
                }
                return;
            }
            () = shutdown.as_mut(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
