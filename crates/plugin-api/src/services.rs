//! What the gateway does for plugins, as traits: a plugin never sees a runtime, a socket or a database.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schema::Record;
use stdx::Clock;
use uuid::Uuid;

use crate::{
    Cluster, Counters, Epoch, Machine, Metrics, NodeLog, RedisServers, Shared, Spans, UntrustedLua,
    Writer,
};

/// A future that any thread may run.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Everything that a handler may ask of the gateway. Cloning shares it.
#[derive(Clone)]
pub struct Services {
    pub node: Arc<NodeFacts>,
    pub clock: Arc<dyn Clock>,
    pub records: Arc<dyn Records>,
    pub writer: Arc<dyn Writer>,
    pub background: Arc<dyn Background>,
    pub network: Arc<dyn Network>,
    pub random: Arc<dyn Random>,
    pub shared: Shared,
    /// The metrics page.
    pub metrics: Metrics,
    pub cluster: Arc<dyn Cluster>,
    pub counters: Arc<dyn Counters>,
    pub redis: Arc<dyn RedisServers>,
    pub machine: Arc<dyn Machine>,
    pub log: Arc<dyn NodeLog>,
}

/// Facts about the node that do not change while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    pub id: Uuid,
    pub hostname: Box<str>,
    /// The value of `Server` and `Via`, such as `silverback/0.1.0`.
    pub token: Box<str>,
    /// Whether answers that come from elsewhere say in `Via` that they came through here.
    pub sends_via: bool,
    /// How many bytes a cache of a plugin may take.
    pub cache_memory: u64,
    /// What Lua code in configuration may do.
    pub lua: UntrustedLua,
    /// Which spans are made of requests.
    pub spans: Spans,
}

/// Random bytes that nobody can guess.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);

    /// A new id.
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Records of the configuration, consumers and credentials above all, through a bounded cache of the node.
///
/// What was looked up stays known until the record changes: the change feed removes exactly what changed. That there is no
/// such record is remembered as well. Many who ask for the same at once ask the store once.
pub trait Records: Send + Sync {
    /// The record of an entity with an id, or with a value of a unique field.
    fn find(&self, entity: &'static str, by: By<'_>) -> Lookup<Option<Arc<Record>>>;

    /// All records of an entity whose foreign field holds an id, such as the groups of a consumer.
    fn children(
        &self,
        entity: &'static str,
        foreign: &'static str,
        id: Uuid,
    ) -> Lookup<Arc<[Arc<Record>]>>;

    /// Which changes of an entity are known of, for whoever keeps what was made of its records. Once a change is known
    /// here, nothing that is looked up is older. Asked when a handler is made, not per request.
    fn epoch(&self, entity: &'static str) -> Epoch;

    /// So many lookups were spared, because what would have been looked up was kept elsewhere; they count as found.
    fn note_hits(&self, _spared: u64) {}
}

/// How a record is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    Id(Uuid),
    /// A field that the entity declares unique, and its value.
    Unique(&'static str, &'a str),
}

/// Something that is known, or has to be fetched.
///
/// Perf: what the cache has costs no future.
pub enum Lookup<T> {
    Known(T),
    Fetch(BoxFuture<Result<T, Unavailable>>),
}

impl<T> Lookup<T> {
    /// Waits if it has to be fetched.
    ///
    /// # Errors
    /// When the store is out of reach and the node's own copy does not know either. This is never an answer to
    /// *does it exist*: whoever authenticates answers 503, not 401.
    pub async fn get(self) -> Result<T, Unavailable> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Fetch(future) => future.await,
        }
    }
}

/// The gateway could not find out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("out of reach: {0}")]
pub struct Unavailable(pub String);

/// Work beside the requests, on the control side.
pub trait Background: Send + Sync {
    /// Runs a future to its end. At a graceful stop the node waits for it, within its deadline.
    fn spawn(&self, future: BoxFuture<()>);

    /// Resolves after this time.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;

    /// Resolves when the node is about to end: what is queued should go out now.
    fn stopping(&self) -> BoxFuture<()>;

    /// Computes for milliseconds, such as a slow hash, on a thread that serves nobody; resolves when it is done. Whoever
    /// asks bounds how much is computed at once. Without such threads it happens in the future itself.
    fn compute(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<()> {
        Box::pin(async move { work() })
    }
}

/// Connections to other servers, on the control side.
pub trait Network: Send + Sync {
    /// Makes an HTTP request over a pooled connection.
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, NetworkError>>;

    /// The same through an HTTP proxy.
    fn http_through(
        &self,
        _proxy: HttpProxy,
        _request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        let error = NetworkError::Failed("proxies are not known here".to_owned());
        Box::pin(std::future::ready(Err(error)))
    }

    /// Sends one datagram.
    fn datagram(&self, to: Destination, bytes: Bytes) -> BoxFuture<Result<(), NetworkError>>;

    /// Opens a connection.
    fn connect(
        &self,
        to: Destination,
        tls: Option<TlsOptions>,
        timeout: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>>;

    /// Looks a name up the way the proxy does.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>>;
}

/// An open connection. Reads and writes end with an error after the connection's timeout.
pub trait Connection: Send {
    /// Writes everything.
    fn write<'a>(
        &'a mut self,
        bytes: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(), NetworkError>> + Send + 'a>>;

    /// Reads some bytes, at most `limit`; none at the end.
    fn read<'a>(
        &'a mut self,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, NetworkError>> + Send + 'a>>;

    /// Turns the connection to TLS, once both sides have agreed on it in the clear. After an error it is of no more use.
    ///
    /// # Errors
    /// When the handshake fails; always, where connections are not sockets.
    fn start_tls<'a>(
        &'a mut self,
        _tls: &'a TlsOptions,
    ) -> Pin<Box<dyn Future<Output = Result<(), NetworkError>> + Send + 'a>> {
        let reason = "this connection cannot be turned to TLS".to_owned();
        Box::pin(std::future::ready(Err(NetworkError::Failed(reason))))
    }
}

/// Where a connection goes: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    pub host: String,
    pub port: u16,
}

/// How a connection is secured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// The name that the certificate has to have; the destination's host if there is none.
    pub server_name: Option<String>,
    pub verify: bool,
}

/// A request to another server.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRequest {
    pub method: String,
    /// `http://` or `https://`, host, port, path and query.
    pub url: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
    /// For the whole exchange.
    pub timeout: Duration,
    /// How long the connection may wait for another request.
    pub keep_alive: Duration,
    pub tls: TlsOptions,
    /// The longest answer that is read.
    pub max_response: usize,
}

/// A proxy that connections to other servers go through: plain requests are handed to it, those over TLS in a tunnel
/// that it opens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpProxy {
    pub at: Destination,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}

/// What another server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

/// Another server could not be reached, or did not answer as it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetworkError {
    #[error("timeout")]
    Timeout,
    #[error("{0}")]
    Failed(String),
}
