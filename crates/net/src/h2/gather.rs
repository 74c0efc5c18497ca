//! Frames wait for one another, so that one write, and under TLS one record, carries what many streams have to say.
//!
//! Perf: the library below flushes after every DATA frame. In `GET over HTTP/2, 1 KiB` of `cargo xtask bench`, gathering turns
//! 1.0 writes to the client for each request into 0.16.
//! Here a flush only counts when the connection has nothing more to say for now: its driver calls [`Gathered::drive`] then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Error;

#[cfg(test)]
mod tests;

/// What waits at most: the payload of one TLS record. Larger writes take along what waits and go straight out.
const MOST: usize = 16 * 1024;

/// A connection that the library reads and writes, and that its driver flushes.
pub(super) struct Gathered<S>(Arc<Mutex<Gathering<S>>>);

struct Gathering<S> {
    stream: S,
    /// Allocated for each batch, so that an idle connection holds none.
    waiting: Vec<u8>,
    /// What of `waiting` is written already.
    sent: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    /// The library's handle and the driver's.
    pub(super) fn new(stream: S) -> (Self, Self) {
        let shared = Arc::new(Mutex::new(Gathering {
            stream,
            waiting: Vec::new(),
            sent: 0,
        }));
        (Self(Arc::clone(&shared)), Self(shared))
    }

    /// Polls the library, and sends what waits if it has nothing more to do for now.
    pub(super) fn drive<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Result<T, h2::Error>>,
    ) -> Poll<Result<T, Error>> {
        let polled = poll(cx);
        if polled.is_pending()
            && let Poll::Ready(Err(error)) = self.0.lock().send(cx)
        {
            return Poll::Ready(Err(Error::Send(error)));
        }
        polled.map_err(Error::from)
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left @ [_, ..]) = self.waiting.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.clear();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn clear(&mut self) {
        self.waiting = Vec::new();
        self.sent = 0;
    }

    /// Holds pieces that fit, and writes others behind what waits.
    fn write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.waiting.len() + length <= MOST {
            if self.waiting.capacity() == 0 {
                self.waiting.reserve_exact(MOST);
            }
            for piece in pieces {
                self.waiting.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(length));
        }
        loop {
            let left = self.waiting.get(self.sent..).unwrap_or_default();
            let waiting = left.len();
            let written = if left.is_empty() {
                ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces))?
            } else {
                let mut all = [IoSlice::new(&[]); 8];
                let parts = std::iter::once(IoSlice::new(left)).chain(pieces.iter().copied());
                let count = all
                    .iter_mut()
                    .zip(parts)
                    .map(|(place, part)| *place = part)
                    .count();
                let all = all.get(..count).unwrap_or_default();
                ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, all))?
            };
            if written == 0 && waiting > 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written < waiting {
                self.sent += written;
                continue;
            }
            self.clear();
            if written > waiting || waiting == 0 {
                return Poll::Ready(Ok(written - waiting));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.0.lock();
        ready!(gathering.send(cx))?;
        Pin::new(&mut gathering.stream).poll_shutdown(cx)
    }
}
