//! A bound on the time in which a client shows whether it speaks HTTP/1 or HTTP/2; hyper waits for that for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What every HTTP/2 client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reads fail when the time is over and what was read could still begin either protocol.
pub struct Opening<IO> {
    io: IO,
    /// How much of the preface was read.
    seen: usize,
    /// `None` once the protocol is known.
    over: Option<Pin<Box<Sleep>>>,
}

impl<IO> Opening<IO> {
    /// The time runs from now.
    pub fn new(io: IO, time: Duration) -> Self {
        Self {
            io,
            seen: 0,
            over: Some(Box::pin(tokio::time::sleep(time))),
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.seen..];
        self.seen += bytes.len();
        if self.seen >= PREFACE.len() || !rest.starts_with(bytes) {
            self.over = None;
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Opening<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let Some(over) = &mut self.over else {
            return read;
        };
        match read {
            Poll::Ready(Ok(())) => self.see(&buffer.filled()[before..]),
            Poll::Pending if over.as_mut().poll(context).is_ready() => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Opening<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
