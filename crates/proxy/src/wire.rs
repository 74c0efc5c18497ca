//! Reading into and writing from buffers, one system call a step.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use net::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};

/// The free space that a read should find.
const ROOM: usize = 4 << 10;

/// Payload up to this size is copied behind its head. Perf: one piece is cheaper to write than two to be gathered.
pub const COPIED: usize = 4 << 10;

/// Reads once into the free space of `into`, which is made if there is little; 0 is the end of the stream.
pub fn poll_read(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    if into.capacity() - into.len() < ROOM {
        // Perf: an empty buffer whose pieces are all written is used again from its start, without an allocation.
        into.reserve(if into.is_empty() {
            http1::BODY_BUFFER
        } else {
            http1::HEAD_BUFFER
        });
    }
    pin!(stream.read_buf(into)).poll(cx)
}

/// Writes all of `parts` and flushes.
pub async fn write_all(stream: &mut Stream, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    std::future::poll_fn(|cx| {
        while !parts.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            IoSlice::advance_slices(&mut parts, written);
        }
        Pin::new(&mut *stream).poll_flush(cx)
    })
    .await
}

/// Pieces that wait to be written, in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What is being written. Perf: mostly there is one piece, which needs neither a list nor a vectored write.
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Bytes written so far.
    pub written: u64,
}

impl Outgoing {
    /// How many pieces one write takes.
    const GATHER: usize = 16;

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.push_back(piece);
        }
    }

    /// Puts a piece before all others.
    pub fn prepend(&mut self, piece: Bytes) {
        let behind = std::mem::replace(&mut self.first, piece);
        if !behind.is_empty() {
            self.rest.push_front(behind);
        }
    }

    /// Moves all that waits to the end of `to`.
    pub fn copy_into(&mut self, to: &mut BytesMut) {
        to.extend_from_slice(&std::mem::take(&mut self.first));
        for piece in self.rest.drain(..) {
            to.extend_from_slice(&piece);
        }
    }

    /// Writes what waits and flushes; ready when nothing waits any more.
    pub fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.rest.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.first))?
            } else {
                let mut slices = [IoSlice::new(&self.first); Self::GATHER];
                let (_, behind) = slices.split_at_mut(1);
                let mut count = 1;
                for (slice, piece) in behind.iter_mut().zip(&self.rest) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                let gathered = slices.get(..count).unwrap_or_default();
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, gathered))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written as u64;
        while written >= self.first.len() {
            written -= self.first.len();
            match self.rest.pop_front() {
                Some(next) => self.first = next,
                None => return self.first = Bytes::new(),
            }
        }
        self.first.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_leave_the_queue_across_pieces() {
        let mut outgoing = Outgoing::default();
        for piece in ["abc", "", "defg"] {
            outgoing.push(Bytes::from(piece));
        }
        outgoing.advance(5);
        assert_eq!((outgoing.waiting(), outgoing.written), (2, 5));
        assert_eq!(&outgoing.first[..], b"fg");
        outgoing.advance(2);
        assert!(outgoing.is_empty());
        outgoing.push(Bytes::from("h"));
        assert_eq!(&outgoing.first[..], b"h");
    }
}
