//! The socket under a connection.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Address;

/// A TCP or unix socket, with bytes that were read too far ahead and put back.
#[derive(Debug)]
pub(crate) struct Socket {
    io: Io,
    put_back: Vec<u8>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn tcp(tcp: TcpStream) -> Self {
        Self {
            io: Io::Tcp(tcp),
            put_back: Vec::new(),
        }
    }

    pub(crate) fn unix(unix: UnixStream) -> Self {
        Self {
            io: Io::Unix(unix),
            put_back: Vec::new(),
        }
    }

    /// Puts bytes before everything that has not been read.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.put_back.splice(..0, bytes.iter().copied());
    }

    /// See [`super::Stream::is_idle_and_open`].
    pub(super) fn is_idle_and_open(&self) -> bool {
        if !self.put_back.is_empty() {
            return false;
        }
        let mut byte = [MaybeUninit::uninit()];
        // `try_io` answers WouldBlock by itself as long as no readiness event has arrived.
        let peeked = match &self.io {
            Io::Tcp(tcp) => tcp.try_io(Interest::READABLE, || SockRef::from(tcp).peek(&mut byte)),
            Io::Unix(unix) => {
                unix.try_io(Interest::READABLE, || SockRef::from(unix).peek(&mut byte))
            }
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) fn local_addr(&self) -> io::Result<Address> {
        Ok(match &self.io {
            Io::Tcp(tcp) => Address::Ip(tcp.local_addr()?),
            Io::Unix(unix) => Address::Unix(unix.local_addr()?.as_pathname().map(Into::into)),
        })
    }

    pub(super) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match &self.io {
            Io::Tcp(tcp) => tcp.set_nodelay(on),
            Io::Unix(_) => Ok(()),
        }
    }

    /// Hands out what was put back; the memory goes with the last byte.
    fn read_put_back(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.put_back.len().min(buf.remaining());
        buf.put_slice(&self.put_back[..length]);
        if length == self.put_back.len() {
            self.put_back = Vec::new();
        } else {
            self.put_back.drain(..length);
        }
    }
}

/// Calls a poll method on the socket.
macro_rules! delegate {
    ($socket:expr, $io:ident => $call:expr) => {
        match &mut $socket.get_mut().io {
            Io::Tcp($io) => {
                let $io = Pin::new($io);
                $call
            }
            Io::Unix($io) => {
                let $io = Pin::new($io);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.put_back.is_empty() {
            self.read_put_back(buf);
            return Poll::Ready(Ok(()));
        }
        delegate!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => io.poll_shutdown(cx))
    }
}
