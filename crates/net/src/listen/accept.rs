//! Accepting on a worker.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use socket2::SockRef;

use super::socket::Handle;
use super::{ListenAddress, ListenSpec};
use crate::{Address, Stream};

/// Connections that are taken from a socket that is closed, at most, so that a flood does not keep it open.
const MOST_WAITING: usize = 1 << 16;

/// A worker's handle on a listening socket: plain data that can be sent to the worker's thread.
#[derive(Debug)]
pub struct WorkerListener {
    spec: Arc<ListenSpec>,
    local: ListenAddress,
    handle: Handle,
}

impl WorkerListener {
    pub(super) fn new(spec: Arc<ListenSpec>, local: ListenAddress, handle: Handle) -> Self {
        Self {
            spec,
            local,
            handle,
        }
    }

    /// The specification.
    pub fn spec(&self) -> &ListenSpec {
        &self.spec
    }

    /// Registers the socket with the current runtime; call it on the worker.
    pub fn into_listener(self) -> io::Result<Listener> {
        let acceptor = match self.handle {
            Handle::Tcp(listener) => Acceptor::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Handle::Unix(listener) => Acceptor::Unix(tokio::net::UnixListener::from_std(listener)?),
        };
        Ok(Listener {
            spec: self.spec,
            local: self.local,
            acceptor,
        })
    }
}

/// A listening socket on a worker's runtime.
#[derive(Debug)]
pub struct Listener {
    spec: Arc<ListenSpec>,
    local: ListenAddress,
    acceptor: Acceptor,
}

#[derive(Debug)]
enum Acceptor {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Listener {
    /// The specification.
    pub fn spec(&self) -> &Arc<ListenSpec> {
        &self.spec
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> &ListenAddress {
        &self.local
    }

    /// The next connection. An error concerns one connection or a passing shortage ([`is_shortage`]), never the listener:
    /// keep accepting. Cancel safe.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.acceptor {
            Acceptor::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                Ok(self.tcp(tcp, peer))
            }
            Acceptor::Unix(listener) => {
                let (unix, peer) = listener.accept().await?;
                Ok(self.unix(unix, peer.as_pathname()))
            }
        }
    }

    /// Closes this worker's handle on the socket, and returns the connections that the kernel had made by then: if no other
    /// worker has a handle, it would reset them.
    pub fn close(self) -> Vec<Stream> {
        let mut waiting = Vec::new();
        while waiting.len() < MOST_WAITING {
            match self.accept_now() {
                Ok(stream) => waiting.push(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Mostly because nobody waits; whatever it is, the socket is closed.
                Err(_) => break,
            }
        }
        waiting
    }

    /// Takes a connection if one waits. It asks the socket itself, because the runtime may not have heard of it yet.
    fn accept_now(&self) -> io::Result<Stream> {
        match &self.acceptor {
            Acceptor::Tcp(listener) => {
                let (socket, peer) = SockRef::from(listener).accept()?;
                socket.set_nonblocking(true)?;
                let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                let tcp = tokio::net::TcpStream::from_std(socket.into())?;
                Ok(self.tcp(tcp, peer))
            }
            Acceptor::Unix(listener) => {
                let (socket, peer) = SockRef::from(listener).accept()?;
                socket.set_nonblocking(true)?;
                let unix = tokio::net::UnixStream::from_std(socket.into())?;
                Ok(self.unix(unix, peer.as_pathname()))
            }
        }
    }

    fn tcp(&self, tcp: tokio::net::TcpStream, peer: SocketAddr) -> Stream {
        let local = match self.local {
            ListenAddress::Tcp(address) if !address.ip().is_unspecified() => {
                Some(Address::Ip(address))
            }
            _ => None,
        };
        Stream::accepted_tcp(tcp, peer, local)
    }

    fn unix(&self, unix: tokio::net::UnixStream, peer: Option<&Path>) -> Stream {
        let local = match &self.local {
            ListenAddress::Unix(path) => Some(path.clone()),
            ListenAddress::Tcp(_) => None,
        };
        Stream::accepted_unix(unix, peer.map(Into::into), local)
    }
}

/// Whether an accept error means that descriptors or memory ran out: wait a moment before the next try.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
