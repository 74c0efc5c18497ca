//! One type for every connection: TCP or unix socket, plain or TLS, accepted or opened.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

use crate::tls::handshake_info;

/// The members of [`AsyncWrite`] besides `poll_write`, passed on by the `delegate!` of the module.
macro_rules! delegate_rest {
    () => {
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
    };
}

mod socket;

#[cfg(test)]
mod tests;

pub(crate) use socket::Socket;

/// The address of one end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A unix socket; the path is absent for the unnamed end of a connecting client.
    Unix(Option<PathBuf>),
}

impl Address {
    /// The IP address and port; `None` for unix sockets.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// An application protocol agreed upon in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

impl Alpn {
    /// The identifier on the wire.
    pub fn id(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// A TLS protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// The name that OpenSSL and nginx's `$ssl_protocol` use: `TLSv1.2` or `TLSv1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// What a TLS handshake settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The server name that the client asked for, in lower case.
    pub sni: Option<Box<str>>,
    /// The application protocol, if one was agreed upon.
    pub alpn: Option<Alpn>,
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite by its OpenSSL name, as nginx's `$ssl_cipher` has it.
    pub cipher: &'static str,
    /// The peer's certificate chain in DER, leaf first; empty if it sent none.
    pub peer_certificates: Vec<Vec<u8>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// A connection.
///
/// Reading and writing go through [`AsyncRead`] and [`AsyncWrite`]; vectored writes are passed on. Shutting down is a
/// half-close: it sends close_notify if there is TLS and then ends the sending side only. TLS keeps what it could not
/// send: flush after the last write of a message.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    peer: Address,
    local: OnceLock<Address>,
    tls: Option<Box<TlsInfo>>,
}

#[derive(Debug)]
enum Io {
    Plain(Socket),
    Server(Box<server::TlsStream<Socket>>),
    Client(Box<client::TlsStream<Socket>>),
}

impl Stream {
    /// Takes over a connected TCP socket.
    pub fn from_tcp(tcp: TcpStream) -> io::Result<Self> {
        let peer = tcp.peer_addr()?;
        Ok(Self::accepted_tcp(tcp, peer, None))
    }

    pub(crate) fn accepted_tcp(tcp: TcpStream, peer: SocketAddr, local: Option<Address>) -> Self {
        Self::plain(Socket::tcp(tcp), Address::Ip(peer), local)
    }

    pub(crate) fn accepted_unix(
        unix: UnixStream,
        peer: Option<PathBuf>,
        local: Option<PathBuf>,
    ) -> Self {
        Self::plain(
            Socket::unix(unix),
            Address::Unix(peer),
            Some(Address::Unix(local)),
        )
    }

    fn plain(socket: Socket, peer: Address, local: Option<Address>) -> Self {
        let known = OnceLock::new();
        if let Some(local) = local {
            known.get_or_init(|| local);
        }
        Self {
            io: Io::Plain(socket),
            peer,
            local: known,
            tls: None,
        }
    }

    /// The socket of a plain connection, and what [`Stream::with_server_tls`] or [`Stream::with_client_tls`] need to put a connection together again.
    pub(crate) fn into_plain(self) -> io::Result<(Socket, Ends)> {
        match self.io {
            Io::Plain(socket) => Ok((
                socket,
                Ends {
                    peer: self.peer,
                    local: self.local,
                },
            )),
            Io::Server(_) | Io::Client(_) => {
                Err(io::Error::other("the connection speaks TLS already"))
            }
        }
    }

    pub(crate) fn with_server_tls(tls: server::TlsStream<Socket>, ends: Ends) -> Self {
        let (_, session) = tls.get_ref();
        let info = handshake_info(session, session.server_name());
        Self {
            io: Io::Server(Box::new(tls)),
            peer: ends.peer,
            local: ends.local,
            tls: Some(Box::new(info)),
        }
    }

    pub(crate) fn with_client_tls(
        tls: client::TlsStream<Socket>,
        ends: Ends,
        server_name: Option<&str>,
    ) -> Self {
        let info = handshake_info(tls.get_ref().1, server_name);
        Self {
            io: Io::Client(Box::new(tls)),
            peer: ends.peer,
            local: ends.local,
            tls: Some(Box::new(info)),
        }
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> &Address {
        &self.peer
    }

    /// The address of this end. Asked from the system once, when first wanted.
    pub fn local_addr(&self) -> io::Result<&Address> {
        if let Some(known) = self.local.get() {
            return Ok(known);
        }
        let local = self.socket().local_addr()?;
        Ok(self.local.get_or_init(|| local))
    }

    /// What the TLS handshake settled; `None` on a plain connection.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_deref()
    }

    /// Whether the bytes on the wire are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Puts bytes back: the next reads return them first. For what was read too far ahead: the HTTP/2 preface, the bytes
    /// after a PROXY header. Only on a plain connection, so before a handshake; on a TLS connection it is an error.
    pub fn unread(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.io {
            Io::Plain(socket) => {
                socket.unread(bytes);
                Ok(())
            }
            Io::Server(_) | Io::Client(_) => {
                Err(io::Error::other("bytes cannot be put back under TLS"))
            }
        }
    }

    /// Reads once into the free space of `into`, of which there has to be some; 0 is the end of the stream.
    pub fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(socket) => socket.poll_read_into(cx, into),
            Io::Server(_) | Io::Client(_) => pin!(self.read_buf(into)).poll(cx),
        }
    }

    /// Waits, without a buffer, until a read is worth the call: it may still find nothing, above all under TLS.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.io {
            Io::Plain(socket) => socket.poll_readable(cx),
            Io::Server(_) | Io::Client(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether a kept connection can be used again: the other end has not closed it, and has sent nothing that nobody
    /// asked for.
    ///
    /// Perf: makes a system call only if the runtime has seen the socket become readable since the last read that found
    /// it empty, so that it is free on the connections that are fine.
    pub fn is_idle_and_open(&mut self) -> bool {
        match &mut self.io {
            Io::Plain(socket) => socket.is_idle_and_open(),
            // Session tickets and key updates may arrive at any time, so that the TLS layer has to look at the bytes.
            Io::Server(tls) => is_silent(Pin::new(&mut **tls)),
            Io::Client(tls) => is_silent(Pin::new(&mut **tls)),
        }
    }

    /// Sets TCP_NODELAY; no effect on unix sockets. Accepted connections inherit it from their listener, and the
    /// connector sets it.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket().set_nodelay(on)
    }

    /// The socket of a connection without TLS.
    pub(crate) fn bare_socket(&self) -> Option<&Socket> {
        match &self.io {
            Io::Plain(socket) => Some(socket),
            Io::Server(_) | Io::Client(_) => None,
        }
    }

    /// As [`Stream::bare_socket`], to be written to.
    pub(crate) fn bare_socket_mut(&mut self) -> Option<&mut Socket> {
        match &mut self.io {
            Io::Plain(socket) => Some(socket),
            Io::Server(_) | Io::Client(_) => None,
        }
    }

    fn socket(&self) -> &Socket {
        match &self.io {
            Io::Plain(socket) => socket,
            Io::Server(tls) => tls.get_ref().0,
            Io::Client(tls) => tls.get_ref().0,
        }
    }
}

/// The addresses of a connection whose socket is in the hands of a handshake.
#[derive(Debug)]
pub(crate) struct Ends {
    peer: Address,
    local: OnceLock<Address>,
}

/// Whether a read finds neither data nor an end nor an error.
fn is_silent(tls: Pin<&mut impl AsyncRead>) -> bool {
    let mut byte = [0_u8; 1];
    let mut context = Context::from_waker(Waker::noop());
    tls.poll_read(&mut context, &mut ReadBuf::new(&mut byte))
        .is_pending()
}

/// Calls a poll method on whatever the connection consists of.
macro_rules! delegate {
    ($stream:expr, $io:ident => $call:expr) => {
        match &mut $stream.get_mut().io {
            Io::Plain($io) => {
                let $io = Pin::new($io);
                $call
            }
            Io::Server($io) => {
                let $io = Pin::new(&mut **$io);
                $call
            }
            Io::Client($io) => {
                let $io = Pin::new(&mut **$io);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Server(tls) => Pin::new(&mut **tls)
                .poll_read(cx, buf)
                .map(ignore_missing_close_notify),
            Io::Client(tls) => Pin::new(&mut **tls)
                .poll_read(cx, buf)
                .map(ignore_missing_close_notify),
        }
    }
}

/// Compat: nginx takes a TLS connection that ends without close_notify for one that has ended, because peers do that all
/// the time. A message that declares its length, or is chunked, still shows that it was cut.
fn ignore_missing_close_notify(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => io.poll_write(cx, buf))
    }

    delegate_rest!();
}
