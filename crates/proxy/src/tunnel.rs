//! After 101: bytes in both directions, until both ends are done or nothing has moved for the service's read timeout.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http1::{Connection, Framing};
use net::Stream;
use snapshot::Service;
use tokio::io::AsyncWrite;

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::Answer;
use crate::response_head;
use crate::wire;

/// The most that waits in one direction; a sender that is faster has to wait.
const WINDOW: usize = 64 << 10;

impl Exchange {
    /// Tells the client that the protocol changes, and carries it.
    pub async fn tunnel(
        &mut self,
        client: &mut Client<'_>,
        answer: Answer,
        service: &Service,
    ) -> Result<(), Error> {
        let Client::Http1(client) = client else {
            return Err(Error::Internal("an upgrade over HTTP/2"));
        };
        let Answer {
            mut head, upstream, ..
        } = answer;
        let protocol = head
            .upgrade()
            .ok_or(Error::Response(http1::Error::StatusLine))?
            .to_vec();
        response_head::edit(self, &mut head)?;
        response_head::finish(self, &mut head)?;
        let mut out = BytesMut::new();
        head.write(Framing::None, Connection::Upgrade(&protocol), &mut out)
            .map_err(Error::Response)?;
        self.keep_alive = false;
        self.status = Some(101);
        client.write(&mut [IoSlice::new(&out)]).await?;
        let (mut upstream, arrived) = upstream.into_parts();
        let mut up = Flow::new(std::mem::take(&mut client.inbox));
        let mut down = Flow::new(arrived);
        while !(up.closed && down.closed) {
            let step = |cx: &mut Context<'_>| {
                let moved = up.poll(&mut client.stream, &mut upstream, cx)?;
                let answered = down.poll(&mut upstream, &mut client.stream, cx)?;
                if moved || answered {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            };
            match self.slot.poll_within(service.read_timeout, step).await {
                Ok(Ok(())) => {}
                // The end of a tunnel is not a fault, however it comes.
                Ok(Err(error)) => {
                    let _: io::Error = error;
                    break;
                }
                Err(_) => break,
            }
        }
        self.body_bytes = down.moved;
        Ok(())
    }
}

/// One direction.
struct Flow {
    buffer: BytesMut,
    ended: bool,
    closed: bool,
    moved: u64,
}

impl Flow {
    fn new(arrived: BytesMut) -> Self {
        Self {
            buffer: arrived,
            ended: false,
            closed: false,
            moved: 0,
        }
    }

    /// Moves what can be moved; tells whether anything happened.
    fn poll(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut happened = false;
        while let Poll::Ready(step) = self.poll_step(from, to, cx) {
            step?;
            happened = true;
            if self.closed {
                break;
            }
        }
        Ok(happened)
    }

    fn poll_step(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Pending;
        }
        if !self.buffer.is_empty() {
            let written = ready!(Pin::new(to).poll_write(cx, &self.buffer))?;
            self.buffer.advance(written);
            self.moved += written as u64;
            return Poll::Ready(if written == 0 {
                Err(io::ErrorKind::WriteZero.into())
            } else {
                Ok(())
            });
        }
        ready!(Pin::new(&mut *to).poll_flush(cx))?;
        if self.ended {
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.closed = true;
            return Poll::Ready(Ok(()));
        }
        if self.buffer.capacity() < WINDOW {
            self.buffer = BytesMut::with_capacity(WINDOW);
        }
        self.ended = ready!(wire::poll_read(from, cx, &mut self.buffer))? == 0;
        Poll::Ready(Ok(()))
    }
}
