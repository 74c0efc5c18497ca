//! One type for every connection: TCP or unix socket, plain or TLS, accepted or opened.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
#[derive(Debug)]
pub struct Stream(());

impl Stream {
    /// Takes over a connected TCP socket, for tests and for listeners of others.
    pub fn from_tcp(tcp: tokio::net::TcpStream) -> io::Result<Self> {
        let _ = tcp;
        unimplemented!()
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> &Address {
        unimplemented!()
    }

    /// The address of this end. Asked from the system once, when first wanted.
    pub fn local_addr(&self) -> io::Result<&Address> {
        unimplemented!()
    }

    /// What the TLS handshake settled; `None` on a plain connection.
    pub fn tls(&self) -> Option<&TlsInfo> {
        unimplemented!()
    }

    /// Whether the bytes on the wire are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// Puts bytes back: the next reads return them first. For what was read too far ahead (the HTTP/2 preface, the bytes
    /// after a PROXY header). Does nothing useful on a TLS connection: call it before the handshake.
    pub fn unread(&mut self, bytes: &[u8]) {
        let _ = bytes;
        unimplemented!()
    }

    /// Whether a kept connection can be used again: the other end has not closed it, and has sent nothing that nobody
    /// asked for. Makes a system call only if the runtime has seen the socket become readable since the last read.
    pub fn is_idle_and_open(&mut self) -> bool {
        unimplemented!()
    }

    /// Sets TCP_NODELAY; no effect on unix sockets. Accepted connections inherit it from their listener, and the
    /// connector sets it.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        let _ = on;
        unimplemented!()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        unimplemented!()
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        unimplemented!()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unimplemented!()
    }

    /// Half-close: sends TLS close_notify if there is TLS, then shuts the sending side down.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unimplemented!()
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
