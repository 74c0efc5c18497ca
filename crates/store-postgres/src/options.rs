//! What a store may be told: where the database is, how to reach it, and how much of it to use.

use std::sync::Arc;
use std::time::Duration;

use stdx::{Clock, Secret};

/// How to reach the database, and what to take from it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hosts with their ports, in the order in which they are tried; the first that takes writes is used.
    ///
    /// A host that starts with `/` is the folder of a Unix socket.
    pub hosts: Vec<(String, u16)>,
    pub user: String,
    /// Empty where the server asks for none.
    pub password: Secret,
    pub database: String,
    /// The schema that holds the tables; `None` leaves the choice to the role's `search_path`.
    pub schema: Option<String>,
    pub tls: Tls,
    /// How long connecting, and a statement on the server, may take.
    pub timeout: Duration,
    /// Connections of the pool at most; the one that listens for changes comes on top.
    pub pool_size: usize,
    /// Queries at the same time at most, where that is less than the pool; 0 is no limit of its own.
    pub max_concurrent_queries: usize,
    /// How long a query waits for its turn.
    pub semaphore_timeout: Duration,
    /// How long a connection may be idle before it is closed.
    pub keepalive: Duration,
    /// How often to look for changes when no notification comes.
    pub poll: Duration,
    /// Events that the change log keeps at least; readers that are further behind reload everything.
    pub change_log: u64,
    pub clock: Arc<dyn Clock>,
    /// Where to read what may be a little old, with connections of its own; only what says how to reach a server counts.
    pub replica: Option<Box<Options>>,
}

impl Default for Options {
    /// A server without TLS on this machine, and Kong's defaults where it has them.
    fn default() -> Self {
        Self {
            hosts: vec![("127.0.0.1".to_owned(), 5432)],
            user: "kong".to_owned(),
            password: Secret::default(),
            database: "kong".to_owned(),
            schema: None,
            tls: Tls::Off,
            timeout: Duration::from_secs(5),
            pool_size: 10,
            max_concurrent_queries: 0,
            semaphore_timeout: Duration::from_secs(60),
            keepalive: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            change_log: 50_000,
            clock: Arc::new(stdx::SystemClock),
            replica: None,
        }
    }
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Default)]
pub enum Tls {
    /// Not at all.
    #[default]
    Off,
    /// Where the server offers it, with any certificate.
    Preferred(Identity),
    /// Always, with any certificate.
    Required(Identity),
    /// Always, with a certificate for the host that one of the authorities vouches for.
    Verified {
        /// Certificates in PEM, any number of them.
        authorities: Vec<u8>,
        /// Whether those that the system trusts count as well.
        system: bool,
        identity: Identity,
    },
}

/// The certificate that a client shows, if it has one.
pub type Identity = Option<ClientCertificate>;

/// A certificate chain and its key, both in PEM.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    pub chain: Vec<u8>,
    pub key: Secret,
}
