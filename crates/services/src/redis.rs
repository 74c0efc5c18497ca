//! Redis for plugins: one server, one that sentinels name, or a cluster.
//!
//! What is behind an address is found out by asking it ([`discovery`]), so that a configuration needs no more than a host
//! and a port. Each node has one connection, over which many ask at the same time. Names are looked up as the proxy does
//! it, and TLS is the proxy's.

mod cluster;
mod discovery;
mod link;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use plugin_api::{BoxFuture, Redis, RedisError, RedisServers, RedisSettings, RedisValue};
use redis::{ErrorKind, ServerErrorKind, Value};

use self::cluster::{Cluster, Node};
use self::link::Link;
use crate::guard::{Guard, Probe};
use crate::network::Connections;

/// Servers by their settings, for as long as somebody holds them.
type Opened = Vec<(RedisSettings, Weak<Server>)>;

/// The servers that handlers hold. Cloning shares them.
#[derive(Clone)]
pub struct Servers {
    connections: Connections,
    open: Arc<Mutex<Opened>>,
}

impl Servers {
    /// Servers that are reached over `connections`.
    pub fn new(connections: Connections) -> Self {
        Self {
            connections,
            open: Arc::default(),
        }
    }
}

impl RedisServers for Servers {
    fn open(&self, settings: &RedisSettings) -> Arc<dyn Redis> {
        let mut open = self.open.lock();
        open.retain(|(_, server)| server.strong_count() > 0);
        let known = open.iter().find(|(of, _)| of == settings);
        if let Some(server) = known.and_then(|(_, server)| server.upgrade()) {
            return server;
        }
        let server = Server::new(settings.clone(), self.connections.clone());
        open.push((settings.clone(), Arc::downgrade(&server)));
        server
    }
}

/// What stands behind the settings.
struct Server {
    place: Arc<Place>,
    guard: Guard,
}

/// The address, and the connection to it while there is one.
struct Place {
    settings: RedisSettings,
    connections: Connections,
    behind: tokio::sync::Mutex<Option<Behind>>,
    /// Other addresses that led to what was behind this one.
    known: Mutex<Vec<Node>>,
    /// How often connecting went wrong.
    failures: AtomicU64,
}

/// What was found behind an address.
#[derive(Clone)]
enum Behind {
    One(Arc<Link>),
    Cluster(Arc<Cluster>),
}

impl Server {
    fn new(settings: RedisSettings, connections: Connections) -> Arc<Self> {
        let name = format!("Redis at {}:{}", settings.host, settings.port);
        let runtime = connections.runtime().clone();
        let place = Arc::new(Place {
            settings,
            connections,
            behind: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            failures: AtomicU64::new(0),
        });
        let probed = Arc::downgrade(&place);
        let probe: Probe = Box::new(move || {
            let probed = probed.clone();
            Box::pin(async move {
                match probed.upgrade() {
                    Some(place) => place.check().await.map_err(|error| error.to_string()),
                    None => Ok(()),
                }
            })
        });
        Arc::new(Self {
            place,
            guard: Guard::new(name, runtime, probe),
        })
    }
}

impl Redis for Server {
    fn eval(
        &self,
        script: &'static str,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> BoxFuture<Result<RedisValue, RedisError>> {
        /// Connecting takes several answers, and each of them has its own timeout.
        const STEPS: u32 = 3;
        let place = self.place.clone();
        let limit = place.settings.timeout.saturating_mul(STEPS);
        let call = Call {
            script,
            keys,
            arguments,
        };
        let asked = self
            .guard
            .ask(limit, async move { place.eval(&call).await });
        Box::pin(async move {
            asked
                .await
                .unwrap_or_else(|reason| Err(RedisError::Unavailable(reason)))
        })
    }
}

/// One call of a script.
struct Call {
    script: &'static str,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Place {
    /// The answer, or why the server is out of reach.
    async fn eval(&self, call: &Call) -> Result<Result<RedisValue, RedisError>, String> {
        let mut answer = self.try_eval(call).await;
        if answer.as_ref().is_err_and(is_stale) {
            // The connection was closed, or leads to what is no master any more; another one may do.
            self.forget().await;
            answer = self.try_eval(call).await;
        }
        match answer {
            Ok(value) => Ok(Ok(plain(value))),
            Err(Error::Apart) => Ok(Err(RedisError::Apart)),
            // The connection is left to `check`: until the guard knows, others would only queue up for a new one.
            Err(error) if error.is_outage() => Err(error.to_string()),
            Err(error) => Ok(Err(RedisError::Refused(error.to_string()))),
        }
    }

    async fn try_eval(&self, call: &Call) -> Result<Value, Error> {
        match self.behind().await? {
            Behind::One(link) => Ok(link.eval(call).await?),
            Behind::Cluster(cluster) => cluster.eval(call).await,
        }
    }

    /// What is behind the address; whoever asks first connects, and the others wait for what comes of it.
    async fn behind(&self) -> Result<Behind, Error> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut behind = self.behind.lock().await;
        if let Some(found) = &*behind {
            return Ok(found.clone());
        }
        if self.failures.load(Ordering::Acquire) != failures {
            return Err(Error::Connect("somebody else just failed to".to_owned()));
        }
        let known = self.known.lock().clone();
        let found = discovery::find(&self.connections, &self.settings, &known).await;
        if found.is_err() {
            self.failures.fetch_add(1, Ordering::Release);
        }
        let (found, known) = found?;
        *self.known.lock() = known;
        *behind = Some(found.clone());
        Ok(found)
    }

    async fn forget(&self) {
        *self.behind.lock().await = None;
    }

    /// Whether all that is behind the address answers, over new connections.
    async fn check(&self) -> Result<(), Error> {
        self.forget().await;
        let checked = match self.behind().await? {
            Behind::One(link) => link.ping().await.map_err(Error::from),
            Behind::Cluster(cluster) => cluster.check().await,
        };
        if checked.is_err() {
            self.forget().await;
        }
        checked
    }
}

/// What can go wrong with a server.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the keys are on different nodes of a cluster")]
    Apart,
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("{0}")]
    Server(#[from] redis::RedisError),
}

impl Error {
    /// Whether nobody can be served, as opposed to this one call.
    fn is_outage(&self) -> bool {
        match self {
            Self::Apart => false,
            Self::Connect(_) => true,
            Self::Server(error) => match error.kind() {
                ErrorKind::Server(kind) => matches!(
                    kind,
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                        | ServerErrorKind::TryAgain
                ),
                ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
                _ => error.is_unrecoverable_error(),
            },
        }
    }
}

/// Whether another connection may do what this one could not. A call that is sent again after its connection was lost
/// can count twice; one that was never answered in time is not sent again.
fn is_stale(error: &Error) -> bool {
    match error {
        Error::Server(error) if error.is_timeout() => false,
        Error::Server(error) => {
            error.is_connection_dropped()
                || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
                || error.kind() == ErrorKind::Server(ServerErrorKind::MasterDown)
                || error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
        }
        _ => false,
    }
}

/// The value without what only the protocol knows.
fn plain(value: Value) -> RedisValue {
    match value {
        Value::Int(number) => RedisValue::Int(number),
        Value::Boolean(truth) => RedisValue::Int(truth.into()),
        Value::BulkString(bytes) => RedisValue::Bytes(bytes),
        Value::SimpleString(text) => RedisValue::Bytes(text.into_bytes()),
        Value::Okay => RedisValue::Bytes(b"OK".to_vec()),
        Value::Double(number) => RedisValue::Bytes(number.to_string().into_bytes()),
        Value::Array(parts) | Value::Set(parts) => {
            RedisValue::List(parts.into_iter().map(plain).collect())
        }
        _ => RedisValue::Nil,
    }
}

#[cfg(test)]
mod tests;
