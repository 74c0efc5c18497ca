//! HTTP/2 facing clients.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Response, request, response};

use super::gather::Gathered;
use super::heartbeat::Heartbeat;
use super::{Error, Reason, RecvBody, SendBody, Settings, check_request};
use crate::Stream;

/// A connection from a client.
pub struct ServerConnection {
    connection: h2::server::Connection<Gathered<Stream>, Bytes>,
    out: Gathered<Stream>,
    heartbeat: Option<Heartbeat>,
}

impl ServerConnection {
    /// Exchanges prefaces and settings. The caller bounds the time.
    pub async fn handshake(stream: Stream, settings: &Settings) -> Result<Self, Error> {
        let (io, out) = Gathered::new(stream);
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(settings.max_concurrent_streams)
            .max_header_list_size(settings.max_header_list_bytes)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.connection_window)
            .max_send_buffer_size(usize::try_from(settings.max_send_buffer).unwrap_or(usize::MAX))
            .max_pending_accept_reset_streams(settings.max_pending_resets)
            .max_local_error_reset_streams(Some(settings.max_error_resets));
        let mut handshake = pin!(builder.handshake(io));
        let mut connection = poll_fn(|cx| out.drive(cx, |cx| handshake.as_mut().poll(cx))).await?;
        let heartbeat = settings.keepalive.and_then(|timing| {
            connection
                .ping_pong()
                .map(|ping| Heartbeat::new(timing, ping))
        });
        Ok(Self {
            connection,
            out,
            heartbeat,
        })
    }

    /// The next request; `None` when the connection has ended in order. Malformed requests ([`check_request`]) are reset here. The
    /// connection makes progress, for all of its streams, only while this is awaited: keep calling it until `None` or an
    /// error. Cancel safe.
    pub async fn accept(&mut self) -> Option<Result<Exchange, Error>> {
        loop {
            let next = poll_fn(|cx| {
                if let Some(heartbeat) = &mut self.heartbeat
                    && let Poll::Ready(error) = heartbeat.poll(cx)
                {
                    return Poll::Ready(Some(Err(error)));
                }
                self.out
                    .drive(cx, |cx| {
                        self.connection.poll_accept(cx).map(Option::transpose)
                    })
                    .map(Result::transpose)
            });
            let (request, mut respond) = match next.await? {
                Ok(accepted) => accepted,
                Err(error) => return Some(Err(error)),
            };
            let (head, body) = request.into_parts();
            if let Err(reason) = check_request(&head) {
                tracing::debug!(reason, "malformed HTTP/2 request");
                respond.send_reset(h2::Reason::PROTOCOL_ERROR);
                continue;
            }
            return Some(Ok(Exchange {
                head,
                body: RecvBody::new(body),
                respond: Respond(respond),
            }));
        }
    }

    /// Announces the end: no new streams, those under way are finished. Keep calling [`ServerConnection::accept`].
    pub fn shut_down(&mut self) {
        self.connection.graceful_shutdown();
    }

    /// Whether no stream is open.
    pub fn is_idle(&self) -> bool {
        !self.connection.has_streams()
    }
}

/// A request with the means to answer it.
pub struct Exchange {
    /// Method, URI (scheme, authority and path from the pseudo headers) and headers, checked by [`check_request`].
    pub head: request::Parts,
    /// The request body.
    pub body: RecvBody,
    /// The answer.
    pub respond: Respond,
}

/// The answer to a request, not yet begun. Dropped, it resets the stream.
pub struct Respond(h2::server::SendResponse<Bytes>);

impl Respond {
    /// Sends an informational head (100, 103).
    pub fn send_informational(&mut self, head: response::Parts) -> Result<(), Error> {
        Ok(self.0.send_informational(Response::from_parts(head, ()))?)
    }

    /// Sends the head; `end` says that no body follows. Connection-specific headers are an error.
    pub fn send_head(mut self, head: response::Parts, end: bool) -> Result<SendBody, Error> {
        Ok(SendBody::new(
            self.0.send_response(Response::from_parts(head, ()), end)?,
        ))
    }

    /// Resets the stream instead.
    pub fn reset(mut self, reason: Reason) {
        self.0.send_reset(reason.into());
    }

    /// Waits until the client resets the stream or goes away, and says why. Cancel safe.
    pub async fn closed(&mut self) -> Error {
        match poll_fn(|cx| self.0.poll_reset(cx)).await {
            Ok(reason) => h2::Error::from(reason).into(),
            Err(error) => error.into(),
        }
    }
}
