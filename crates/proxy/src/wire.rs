//! Reading into and writing from buffers, one system call a step.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use net::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::bypass::{Lent, Pipes};

/// The free space that a read should find.
const ROOM: usize = 4 << 10;

/// As [`poll_read`], but no more than `most` bytes.
pub fn poll_read_most(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    pin!(stream.read_buf(&mut into.limit(most))).poll(cx)
}

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
    stream.poll_read_into(cx, into)
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

/// What waits to be written, in order: a buffer, then pieces, then what is in a pipe.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Heads, and what is small enough to be copied behind them.
    buffer: BytesMut,
    /// How much of the buffer is written. Perf: the buffer itself stays whole, so that the next head goes to the same,
    /// still cached place (bench case "GET, 1 KiB answer").
    begun: usize,
    /// What is being written. Perf: mostly there is at most one piece, which needs neither a list nor a vectored write.
    first: Bytes,
    rest: Option<VecDeque<Bytes>>,
    /// Filled only while nothing else waits, and emptied or taken back before anything else does.
    pipe: Option<Lent>,
    /// Bytes written so far.
    pub written: u64,
}

impl Outgoing {
    /// How many pieces one write takes.
    const GATHER: usize = 16;

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.begun == self.buffer.len() && self.first.is_empty() && self.in_pipe() == 0
    }

    /// Bytes that wait in a pipe.
    pub fn in_pipe(&self) -> usize {
        self.pipe.as_ref().map_or(0, Lent::held)
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.begun
            + self.first.len()
            + self.rest().map(Bytes::len).sum::<usize>()
            + self.in_pipe()
    }

    /// Puts a buffer before all pieces, which are copied behind it if they are small.
    pub fn begin(&mut self, mut buffer: BytesMut) {
        if !self.first.is_empty() && self.waiting() <= COPIED {
            buffer.extend_from_slice(&std::mem::take(&mut self.first));
            while let Some(piece) = self.next_piece() {
                buffer.extend_from_slice(&piece);
            }
        }
        self.buffer = buffer;
        self.begun = 0;
    }

    /// The buffer again, empty, once everything is written.
    pub fn take_buffer(&mut self) -> BytesMut {
        self.begun = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    /// The pieces behind the first one.
    fn rest(&self) -> impl Iterator<Item = &Bytes> {
        self.rest.iter().flat_map(|pieces| pieces.iter())
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        self.rest.as_mut()?.pop_front()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.get_or_insert_default().push_back(piece);
        }
    }

    /// Moves at most `most` bytes from a connection into a pipe, to be written from there; 0 is the end of the stream.
    /// To be called only while nothing waits. `None` says that there is no pipe for it, so that it has to be read.
    pub fn poll_fill_pipe(
        &mut self,
        pipes: &Rc<Pipes>,
        from: &Stream,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<usize>>> {
        let Some(mut lent) = self.pipe.take().or_else(|| pipes.lend()) else {
            return Poll::Ready(None);
        };
        let filled = match lent.pipe() {
            Ok(pipe) => ready!(pipe.poll_fill(from, most, cx)),
            Err(error) => Err(error),
        };
        Poll::Ready(match filled {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                pipes.refuse();
                None
            }
            filled => {
                self.pipe = Some(lent);
                Some(filled)
            }
        })
    }

    /// Takes what is in the pipe into memory, so that more can be queued behind it.
    pub fn empty_pipe(&mut self) -> io::Result<()> {
        if let Some(mut lent) = self.pipe.take() {
            self.push(lent.pipe()?.take()?.into());
        }
        Ok(())
    }

    /// Writes what waits and flushes; ready when nothing waits any more.
    pub fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write_bytes(stream, cx))?;
            if !ready!(self.poll_drain_pipe(stream, cx))? {
                break;
            }
        }
        Pin::new(stream).poll_flush(cx)
    }

    /// Writes what is in the pipe; true if instead of that it was taken into memory.
    fn poll_drain_pipe(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Some(lent) = &mut self.pipe else {
            return Poll::Ready(Ok(false));
        };
        while lent.held() > 0 {
            match ready!(lent.pipe()?.poll_drain(stream, cx)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(moved) => self.written += moved as u64,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    lent.refuse();
                    self.empty_pipe()?;
                    return Poll::Ready(Ok(true));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(false))
    }

    fn poll_write_bytes(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.begun < self.buffer.len() || !self.first.is_empty() {
            let buffer = self.buffer.get(self.begun..).unwrap_or_default();
            let written = if self.first.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, buffer))?
            } else if buffer.is_empty() && self.rest().next().is_none() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.first))?
            } else {
                let mut slices = [IoSlice::new(&[]); Self::GATHER];
                let pieces = [buffer, &self.first].into_iter();
                let pieces = pieces.chain(self.rest().map(|piece| &piece[..]));
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(pieces) {
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
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written as u64;
        let of_buffer = written.min(self.buffer.len() - self.begun);
        self.begun += of_buffer;
        written -= of_buffer;
        if written == 0 {
            return;
        }
        while written >= self.first.len() {
            written -= self.first.len();
            match self.next_piece() {
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

    #[test]
    fn a_buffer_goes_before_the_pieces_and_takes_small_ones_along() {
        let mut outgoing = Outgoing::default();
        for piece in ["cd", "e"] {
            outgoing.push(Bytes::from(piece));
        }
        outgoing.begin(BytesMut::from("ab"));
        assert_eq!(
            (&outgoing.buffer[..], outgoing.waiting()),
            (&b"abcde"[..], 5)
        );
        outgoing.advance(4);
        assert!(!outgoing.is_empty());
        outgoing.advance(1);
        assert!(outgoing.is_empty() && outgoing.take_buffer().is_empty());

        outgoing.push(Bytes::from(vec![b'x'; COPIED + 1]));
        outgoing.begin(BytesMut::from("ab"));
        outgoing.advance(3);
        assert_eq!((outgoing.begun, outgoing.first.len()), (2, COPIED));
    }
}
