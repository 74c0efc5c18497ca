//! Reading into and writing from buffers, one system call a step.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use net::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};

/// The free space that a read should find.
const ROOM: usize = 4 << 10;

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
    pieces: Vec<Bytes>,
    /// The first piece that is not written whole.
    next: usize,
    /// Bytes written so far.
    pub written: u64,
}

impl Outgoing {
    /// How many pieces one write takes.
    const GATHER: usize = 32;

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.next == self.pieces.len()
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if self.next == self.pieces.len() {
            self.pieces.clear();
            self.next = 0;
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// Writes what waits and flushes; ready when nothing waits any more.
    pub fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.next < self.pieces.len() {
            let waiting = self.pieces.get(self.next..).unwrap_or_default();
            let mut slices = [IoSlice::new(&[]); Self::GATHER];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(waiting) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let gathered = slices.get(..count).unwrap_or_default();
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written as u64;
        while let Some(piece) = self.pieces.get_mut(self.next) {
            if written < piece.len() {
                return piece.advance(written);
            }
            written -= piece.len();
            *piece = Bytes::new();
            self.next += 1;
        }
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
        assert_eq!(
            (outgoing.next, &outgoing.pieces[1][..], outgoing.written),
            (1, &b"fg"[..], 5)
        );
        outgoing.advance(2);
        outgoing.push(Bytes::from("h"));
        assert_eq!((outgoing.next, outgoing.pieces.len()), (0, 1));
    }
}
