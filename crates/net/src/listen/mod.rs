//! Listening sockets: bound once with every flag of their specification, shared out to the workers, and handed from one
//! configuration to the next without losing the connections that wait in their accept queues.
//!
//! A [`ListenerSet`] owns the sockets. Each worker gets duplicates of the descriptors it accepts from, so that a
//! worker may stop and another start while the accept queue, which belongs to the socket, stays.

mod accept;
mod socket;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use accept::{Listener, WorkerListener, is_shortage};
use socket::BoundSocket;

use crate::Error;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket in the file system. A socket file that nobody serves is replaced.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
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
    /// One socket a worker (SO_REUSEPORT); otherwise the workers share one socket. No effect on unix sockets.
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
pub struct ListenerSet {
    listeners: Vec<Bound>,
    workers: usize,
}

/// One specification with its sockets: several if each worker has its own.
#[derive(Debug)]
struct Bound {
    spec: Arc<ListenSpec>,
    local: ListenAddress,
    sockets: Vec<Arc<BoundSocket>>,
}

impl ListenerSet {
    /// Binds every specification for `workers` workers.
    ///
    /// Sockets of `previous` at the same address are taken over together with their accept queues, whatever else of the
    /// specification changed; flags of the socket itself are applied anew. The rest of `previous` closes when it and the
    /// [`Listener`]s made from it are dropped. On an error `previous` goes on serving.
    pub fn bind(
        specs: &[ListenSpec],
        workers: usize,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let workers = workers.max(1);
        let mut listeners: Vec<Bound> = Vec::with_capacity(specs.len());
        for spec in specs {
            let fail = |source| Error::Listen {
                address: spec.address.to_string(),
                source,
            };
            let fixed =
                !matches!(&spec.address, ListenAddress::Tcp(address) if address.port() == 0);
            if fixed
                && listeners
                    .iter()
                    .any(|bound| bound.spec.address == spec.address)
            {
                return Err(fail(std::io::Error::other("the address is listed twice")));
            }
            let kept = previous.map_or_else(Vec::new, |set| set.sockets_at(spec, &listeners));
            listeners.push(Bound::open(spec, workers, kept).map_err(fail)?);
        }
        Ok(Self { listeners, workers })
    }

    /// The sockets that can be kept for a specification, and are not taken by an earlier one of the new set.
    fn sockets_at(&self, spec: &ListenSpec, taken: &[Bound]) -> Vec<Arc<BoundSocket>> {
        let fits = |bound: &&Bound| {
            bound.spec.address == spec.address
                && bound.spec.ipv6only.unwrap_or(true) == spec.ipv6only.unwrap_or(true)
                && !taken.iter().any(|other| other.local == bound.local)
        };
        self.listeners
            .iter()
            .find(fits)
            .map_or_else(Vec::new, |bound| bound.sockets.clone())
    }

    /// The sockets that a worker accepts from. Workers count from zero.
    pub fn for_worker(&self, worker: usize) -> Result<Vec<WorkerListener>, Error> {
        let mut mine = Vec::new();
        for bound in &self.listeners {
            for (index, socket) in bound.sockets.iter().enumerate() {
                if bound.is_per_worker() && index % self.workers != worker % self.workers {
                    continue;
                }
                let handle = socket.duplicate().map_err(|source| Error::Listen {
                    address: bound.spec.address.to_string(),
                    source,
                })?;
                mine.push(WorkerListener::new(
                    Arc::clone(&bound.spec),
                    bound.local.clone(),
                    handle,
                ));
            }
        }
        Ok(mine)
    }

    /// Each specification with the address it is really bound to (the port that the system chose for port 0).
    pub fn addresses(&self) -> Vec<(ListenSpec, ListenAddress)> {
        self.listeners
            .iter()
            .map(|bound| ((*bound.spec).clone(), bound.local.clone()))
            .collect()
    }
}

impl Bound {
    /// Opens what is missing beside the sockets that are kept.
    fn open(
        spec: &ListenSpec,
        workers: usize,
        kept: Vec<Arc<BoundSocket>>,
    ) -> std::io::Result<Self> {
        let mut sockets = kept;
        let per_worker = spec.reuseport && matches!(spec.address, ListenAddress::Tcp(_));
        let wanted = if per_worker { workers } else { 1 };
        for socket in &sockets {
            socket.apply(spec)?;
        }
        while sockets.len() < wanted {
            let opened = match sockets.first() {
                Some(first) => BoundSocket::open(&ListenSpec {
                    address: first.local_address(&spec.address)?,
                    ..spec.clone()
                })?,
                None => Self::open_first(spec)?,
            };
            sockets.push(Arc::new(opened));
        }
        let local = match sockets.first() {
            Some(first) => first.local_address(&spec.address)?,
            None => spec.address.clone(),
        };
        Ok(Self {
            spec: Arc::new(spec.clone()),
            local,
            sockets,
        })
    }

    /// Opens the first socket. With `reuseport` nothing keeps two nodes from the same address, and connections would go
    /// to either.
    fn open_first(spec: &ListenSpec) -> std::io::Result<BoundSocket> {
        let (socket, is_shared) = BoundSocket::open_first(spec)?;
        if is_shared {
            tracing::warn!(
                address = %spec.address,
                "another process listens at this address too, and gets a part of the connections (reuseport)"
            );
        }
        Ok(socket)
    }

    /// Whether each worker has sockets of its own. Sockets left over from a specification or a number of workers that
    /// had more of them are shared out too: a socket that nobody accepts from would swallow connections.
    fn is_per_worker(&self) -> bool {
        self.spec.reuseport && self.sockets.len() > 1
    }
}
