//! A pipe of the system, through which payload goes from one socket to another without passing through the process.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use crate::Stream;
use crate::stream::Socket;

#[cfg(test)]
mod tests;

/// An in-kernel queue between two connections that are plain TCP.
///
/// Perf: what is moved through it is not copied to the process and back, which is most of the cost of a long body (bench
/// case "GET, 64 KiB answer").
#[derive(Debug)]
pub struct Pipe {
    input: OwnedFd,
    output: OwnedFd,
    held: usize,
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

impl Pipe {
    /// Makes a pipe of the system's default size, which is 64 KiB in pages of 4 KiB.
    pub fn new() -> io::Result<Self> {
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            input,
            output,
            held: 0,
        })
    }

    /// Bytes that wait in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves at most `most` bytes from a connection into the empty pipe; 0 is the end of the stream.
    ///
    /// An error of the kind `Unsupported` says that this connection cannot be read in this way, and nothing was moved.
    pub fn poll_fill(
        &mut self,
        from: &Stream,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Invariant: only an empty pipe is filled, so that what would block is the connection and not the pipe.
        if self.held > 0 {
            return Poll::Ready(Err(unsupported()));
        }
        let Some(socket) = from.bare_socket() else {
            return Poll::Ready(Err(unsupported()));
        };
        let filled = ready!(socket.poll_read_with(cx, |tcp| {
            splice(tcp, None, &self.input, None, most, FLAGS).map_err(refused)
        }))?;
        self.held = filled;
        Poll::Ready(Ok(filled))
    }

    /// Moves bytes from the pipe to a connection, as many as it takes.
    ///
    /// An error of the kind `Unsupported` says that this connection cannot be written in this way, and nothing was moved.
    pub fn poll_drain(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(socket) = to.bare_socket_mut() else {
            return Poll::Ready(Err(unsupported()));
        };
        let held = self.held;
        let moved = ready!(socket.poll_write_with(cx, |tcp| {
            splice(&self.output, None, tcp, None, held, FLAGS).map_err(refused)
        }))?;
        self.held -= moved.min(held);
        Poll::Ready(Ok(moved))
    }

    /// Takes what waits in the pipe into memory.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.held];
        let mut taken = 0;
        while let Some(free @ [_, ..]) = bytes.get_mut(taken..) {
            match rustix::io::read(&self.output, free)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => taken += read,
            }
        }
        self.held = 0;
        Ok(bytes)
    }
}

/// What the system answers where sockets cannot be spliced, or may not be.
fn refused(error: rustix::io::Errno) -> io::Error {
    use rustix::io::Errno;
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP => unsupported(),
        error => error.into(),
    }
}

fn unsupported() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl Stream {
    /// Whether payload can go over this connection through a [`Pipe`].
    pub fn is_spliceable(&self) -> bool {
        self.bare_socket().is_some_and(Socket::is_bare_tcp)
    }
}
