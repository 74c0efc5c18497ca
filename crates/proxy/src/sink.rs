//! A client that an answer is sent to piece by piece, whichever HTTP version it speaks.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http1::{BodyEncoder, Framing, Headers, ResponseHead, Version};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::http1_client::Http1Client;
use crate::http2_client::AnswerStream;
use crate::wire::Outgoing;

/// Where an answer goes.
pub(crate) enum Sink<'a> {
    Http1 {
        client: &'a mut Http1Client,
        encoder: BodyEncoder,
        out: Outgoing,
    },
    Http2(&'a mut AnswerStream),
}

impl<'a> Sink<'a> {
    /// The answer side of a client.
    pub fn of(client: &'a mut Client<'_>) -> Self {
        match client {
            Client::Http1(client) => Self::http1(client),
            Client::Http2(client) => Self::Http2(&mut client.answer),
        }
    }

    /// A client that speaks HTTP/1.
    pub fn http1(client: &'a mut Http1Client) -> Self {
        Self::Http1 {
            client,
            encoder: BodyEncoder::new(Framing::None),
            out: Outgoing::default(),
        }
    }

    /// Sends the head. `framing` and `empty` are for HTTP/2; over HTTP/1 the head says how its body is framed.
    pub async fn begin(
        &mut self,
        exchange: &mut Exchange,
        head: &ResponseHead,
        framing: Framing,
        empty: bool,
    ) -> Result<(), Error> {
        match self {
            Self::Http2(stream) => stream.begin(head, framing, empty),
            Self::Http1 {
                client,
                encoder,
                out,
            } => {
                let (framing, old) = (
                    head.framing(exchange.head.method()),
                    exchange.head.version() == Version::Http10,
                );
                let framing = if old && framing == Framing::Chunked {
                    Framing::UntilClose
                } else {
                    framing
                };
                let connection = exchange.connection(framing);
                let mut bytes = BytesMut::new();
                head.write(framing, connection, &mut bytes)
                    .map_err(Error::Response)?;
                out.push(bytes.freeze());
                *encoder = BodyEncoder::new(framing);
                client.write_out(out).await
            }
        }
    }

    /// Sends a piece of the body; an empty one is nothing.
    pub async fn data(&mut self, exchange: &Exchange, piece: Bytes) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        match self {
            Self::Http2(stream) => {
                let timeout = exchange.published.settings.limits.send_timeout;
                exchange
                    .slot
                    .within(timeout, pin!(stream.data(piece, false)))
                    .await
                    .unwrap_or(Err(Error::ClientStalled))
            }
            Self::Http1 {
                client,
                encoder,
                out,
            } => {
                let frame = encoder.frame(piece.len()).map_err(|_| Error::Truncated)?;
                out.push(Bytes::copy_from_slice(frame.before()));
                out.push(piece);
                out.push(Bytes::from_static(frame.after()));
                client.write_out(out).await
            }
        }
    }

    /// Ends the body.
    pub async fn finish(&mut self, trailers: Option<&Headers>) -> Result<(), Error> {
        match self {
            Self::Http2(stream) => stream.finish(trailers).await,
            Self::Http1 {
                client,
                encoder,
                out,
            } => {
                let mut end = BytesMut::new();
                encoder
                    .finish(trailers, &mut end)
                    .map_err(|_| Error::Truncated)?;
                out.push(end.freeze());
                client.write_out(out).await
            }
        }
    }
}
