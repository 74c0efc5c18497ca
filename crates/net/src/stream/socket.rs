//! The socket under a connection.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::poll_proceed;

use super::Address;

/// A TCP or unix socket, with bytes that were read too far ahead and put back.
#[derive(Debug)]
pub(crate) struct Socket {
    io: Io,
    put_back: Vec<u8>,
    /// The system took less than it was given, and the runtime waits for it to take more.
    full: bool,
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
            full: false,
        }
    }

    pub(crate) fn unix(unix: UnixStream) -> Self {
        Self {
            io: Io::Unix(unix),
            put_back: Vec::new(),
            full: false,
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
        self.forget_put_back(length);
    }

    fn forget_put_back(&mut self, length: usize) {
        if length == self.put_back.len() {
            self.put_back = Vec::new();
        } else {
            self.put_back.drain(..length);
        }
    }
}

impl Socket {
    /// Writes without asking the runtime whether it may. The result is `WouldBlock` when that is for the runtime to say.
    ///
    /// Perf: nearly always there is room, and asking costs as much as a header does (bench case "GET, 1 KiB answer").
    fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
        let sent = match &self.io {
            Io::Tcp(tcp) => rustix::net::send(tcp, bytes, FLAGS),
            Io::Unix(unix) => rustix::net::send(unix, bytes, FLAGS),
        };
        match sent {
            Ok(written) if written == bytes.len() => Ok(written),
            Ok(written) => {
                self.wait_for_room();
                Ok(written)
            }
            Err(Errno::AGAIN) => {
                self.wait_for_room();
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads once into the free space of `into`, of which there has to be some; 0 is the end of the stream.
    ///
    /// Perf: the runtime's own way makes a future, and registers the task's interest before it knows that it has to wait
    /// (bench case "GET, 1 KiB answer").
    pub(super) fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if !self.put_back.is_empty() {
            let length = self.put_back.len().min(into.capacity() - into.len());
            into.extend_from_slice(&self.put_back[..length]);
            self.forget_put_back(length);
            return Poll::Ready(Ok(length));
        }
        let progress = ready!(poll_proceed(cx));
        loop {
            let read = match &self.io {
                Io::Tcp(tcp) => tcp.try_read_buf(into),
                Io::Unix(unix) => unix.try_read_buf(into),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(match &self.io {
                        Io::Tcp(tcp) => tcp.poll_read_ready(cx),
                        Io::Unix(unix) => unix.poll_read_ready(cx),
                    })?;
                }
                Ok(read) => {
                    progress.made_progress();
                    if read > 0 && into.len() < into.capacity() {
                        self.wait_for_data();
                    }
                    return Poll::Ready(Ok(read));
                }
                done => return Poll::Ready(done),
            }
        }
    }

    /// Waits until a read is worth the call.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Perf: costs less than to ask the runtime, which is only needed to wait.
        let seen = || Ok(());
        let readable = match &self.io {
            _ if !self.put_back.is_empty() => return Poll::Ready(Ok(())),
            Io::Tcp(tcp) => tcp.try_io(Interest::READABLE, seen),
            Io::Unix(unix) => unix.try_io(Interest::READABLE, seen),
        };
        match (readable, &self.io) {
            (Ok(()), _) => Poll::Ready(Ok(())),
            (Err(_), Io::Tcp(tcp)) => tcp.poll_read_ready(cx),
            (Err(_), Io::Unix(unix)) => unix.poll_read_ready(cx),
        }
    }

    /// Tells the runtime that everything that had arrived is read, so that the next read waits without a system call.
    fn wait_for_data(&self) {
        let none = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        // That it would block is the answer.
        let _ = match &self.io {
            Io::Tcp(tcp) => tcp.try_io(Interest::READABLE, none),
            Io::Unix(unix) => unix.try_io(Interest::READABLE, none),
        };
    }

    /// Whether it is TCP, and all that was read from it was used.
    pub(crate) fn is_bare_tcp(&self) -> bool {
        matches!(self.io, Io::Tcp(_)) && self.put_back.is_empty()
    }

    /// Reads by a system call of the caller's, when there is something to read.
    pub(crate) fn poll_read_with(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Io::Tcp(tcp) = &self.io else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            match tcp.try_io(Interest::READABLE, || call(tcp)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes by a system call of the caller's, when there is room.
    pub(crate) fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !self.full {
            let Io::Tcp(tcp) = &self.io else {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            };
            match call(tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room(),
                done => return Poll::Ready(done),
            }
        }
        let Io::Tcp(tcp) = &self.io else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            match tcp.try_io(Interest::WRITABLE, || call(tcp)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.full = false;
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Tells the runtime that there is no room until the system says that there is again.
    fn wait_for_room(&mut self) {
        self.full = true;
        let none = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        // That it would block is the answer.
        let _ = match &self.io {
            Io::Tcp(tcp) => tcp.try_io(Interest::WRITABLE, none),
            Io::Unix(unix) => unix.try_io(Interest::WRITABLE, none),
        };
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.write_at_once(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
        let written = ready!(delegate!(self.as_mut(), io => io.poll_write(cx, buf)))?;
        self.full = written < buf.len();
        Poll::Ready(Ok(written))
    }

    delegate_rest!();
}
