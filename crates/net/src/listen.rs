//! Listening sockets: bound once with every flag of their specification, shared out to the workers, and handed from one
//! configuration to the next without losing the connections that wait in their accept queues.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Stream};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket in the file system. A socket file that nobody serves is replaced.
    Unix(PathBuf),
}

/// The `so_keepalive` flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeepAlive {
    /// `on`: probes with the system's timing.
    On,
    /// `off`.
    Off,
    /// `idle:interval:count`, each part optional.
    Timing {
        /// Time without traffic before the first probe.
        idle: Option<Duration>,
        /// Time between probes.
        interval: Option<Duration>,
        /// Probes without an answer before the connection is given up.
        count: Option<u32>,
    },
}

/// One listener with its flags, as nginx's `listen` directive knows them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenSpec {
    /// Where.
    pub address: ListenAddress,
    /// Connections speak TLS.
    pub ssl: bool,
    /// HTTP/2 is offered by ALPN on TLS, and recognised by its preface on plain connections.
    pub http2: bool,
    /// Connections open with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// One socket a worker (SO_REUSEPORT); otherwise the workers share one socket.
    pub reuseport: bool,
    /// Length of the accept queue; `None` is nginx's 511.
    pub backlog: Option<u32>,
    /// TCP_DEFER_ACCEPT: a connection is accepted when its first bytes are there.
    pub deferred: bool,
    /// SO_KEEPALIVE; `None` leaves the system's default.
    pub keepalive: Option<KeepAlive>,
    /// The `bind` flag. Every address is bound by itself anyway, so that this has no effect beyond being accepted.
    pub bind: bool,
    /// IPV6_V6ONLY; `None` is nginx's default, on.
    pub ipv6only: Option<bool>,
}

impl ListenSpec {
    /// A plain listener without flags.
    pub fn new(address: ListenAddress) -> Self {
        Self {
            address,
            ssl: false,
            http2: false,
            proxy_protocol: false,
            reuseport: false,
            backlog: None,
            deferred: false,
            keepalive: None,
            bind: false,
            ipv6only: None,
        }
    }
}

/// The open sockets of a set of specifications.
#[derive(Debug)]
pub struct ListenerSet(());

impl ListenerSet {
    /// Binds every specification for `workers` workers. Sockets of `previous` whose specification did not change in what
    /// the socket itself knows are taken over together with their accept queues; the rest of `previous` closes when it is dropped and the
    /// workers have dropped their [`Listener`]s.
    pub fn bind(
        specs: &[ListenSpec],
        workers: usize,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let _ = (specs, workers, previous);
        unimplemented!()
    }

    /// The sockets that a worker accepts from. Workers count from zero.
    pub fn for_worker(&self, worker: usize) -> Result<Vec<WorkerListener>, Error> {
        let _ = worker;
        unimplemented!()
    }

    /// Each specification with the address it is really bound to (the port that the system chose for port 0).
    pub fn addresses(&self) -> Vec<(ListenSpec, ListenAddress)> {
        unimplemented!()
    }
}

/// A worker's handle on a listening socket: plain data that can be sent to the worker's thread.
#[derive(Debug)]
pub struct WorkerListener(());

impl WorkerListener {
    /// The specification.
    pub fn spec(&self) -> &ListenSpec {
        unimplemented!()
    }

    /// Registers the socket with the current runtime; call it on the worker.
    pub fn into_listener(self) -> io::Result<Listener> {
        unimplemented!()
    }
}

/// A listening socket on a worker's runtime.
#[derive(Debug)]
pub struct Listener(());

impl Listener {
    /// The specification.
    pub fn spec(&self) -> &ListenSpec {
        unimplemented!()
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> &ListenAddress {
        unimplemented!()
    }

    /// The next connection. An error concerns one connection or a passing shortage ([`is_shortage`]), never the listener:
    /// keep accepting. Cancel safe.
    pub async fn accept(&self) -> io::Result<Stream> {
        unimplemented!()
    }
}

/// Whether an accept error means that descriptors or memory ran out: wait a moment before the next try.
pub fn is_shortage(error: &io::Error) -> bool {
    let _ = error;
    unimplemented!()
}
