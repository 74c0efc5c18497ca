//! The client of one exchange, whichever HTTP version it speaks.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http1::{Connection, Framing, Headers, ResponseHead};

use crate::deadline::Slot;
use crate::error::Error;
use crate::http1_client::Http1Client;
use crate::http2_client::Http2Client;

/// A client with a request under way.
pub(crate) enum Client<'a> {
    Http1(&'a mut Http1Client),
    Http2(Box<Http2Client>),
}

impl Client<'_> {
    /// The next piece of the request body; `None` at its end.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        match self {
            Self::Http1(client) => client.poll_body(cx),
            Self::Http2(client) => client.body.poll_next(cx),
        }
    }

    /// As [`Client::poll_body`], waiting no longer than `timeout`.
    pub async fn next_body(
        &mut self,
        slot: &Slot,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error> {
        slot.poll_within(timeout, |cx| self.poll_body(cx))
            .await
            .unwrap_or(Err(Error::RequestTimeout))
    }

    /// A piece of the body, or its end (`Some(None)`), if it is there already.
    pub fn arrived_body(&mut self) -> Result<Option<Option<Bytes>>, Error> {
        match self {
            Self::Http1(client) => client.decode(),
            Self::Http2(client) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                match client.body.poll_next(&mut cx) {
                    Poll::Ready(piece) => piece.map(Some),
                    Poll::Pending => Ok(None),
                }
            }
        }
    }

    /// Trailers of the request, after the end of its body.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        match self {
            Self::Http1(client) => client.take_trailers(),
            Self::Http2(client) => client.body.take_trailers(),
        }
    }

    /// Ready when the client has gone away. Only for a request whose body was read.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self {
            Self::Http1(client) => client.poll_gone(cx),
            Self::Http2(client) => client.answer.poll_gone(cx),
        }
    }

    /// Tells a client that waits for it to send its body.
    pub async fn send_continue(&mut self) -> Result<(), Error> {
        match self {
            Self::Http1(client) => client.send_continue().await,
            Self::Http2(client) => {
                client.answer.inform(&ResponseHead::new(100, Framing::None));
                Ok(())
            }
        }
    }

    /// Hands an interim answer of the upstream on.
    pub async fn inform(&mut self, head: &ResponseHead) -> Result<(), Error> {
        match self {
            Self::Http1(client) => {
                let mut out = BytesMut::new();
                head.write(Framing::None, Connection::Unsaid, &mut out)
                    .map_err(Error::Response)?;
                client.write(&mut [io::IoSlice::new(&out)]).await
            }
            Self::Http2(client) => {
                client.answer.inform(head);
                Ok(())
            }
        }
    }
}
