//! Exchanges without sockets, for tests of plugins.

mod outside;
mod written;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http1::{Framing, Method, RequestHead, ResponseHead};
use parking_lot::Mutex;
use schema::Record;
use serde_json::Value;
use stdx::counting::{Subject, Taken, Window};
use uuid::Uuid;

pub use outside::{Answer, Outside, header, says};
pub use written::FakeRecords;

use crate::{
    Background, BoxFuture, ClientConnection, Cluster, Configured, Consumer, Counters, Entity,
    Exchange, Failure, Handler, Hearer, LogLine, LogLines, Matched, Metrics, NodeFacts, NodeLog,
    Random, Redis, RedisError, RedisServers, RedisSettings, RedisValue, Services, Shared,
    Unavailable, Work,
};

/// A request that a test makes, and what became of it.
pub struct Sample {
    pub head: RequestHead,
    pub target: Vec<u8>,
    pub work: Work,
    pub connection: ClientConnection<'static>,
    pub route: Option<Entity<'static>>,
    pub service: Option<Entity<'static>>,
    /// As [`Matched::prefix`].
    pub prefix: Option<&'static [u8]>,
    /// As [`Exchange::from_upstream`].
    pub from_upstream: bool,
}

impl Sample {
    /// A request with these header lines, from 127.0.0.1 over plain HTTP/1.1, to an unnamed route.
    ///
    /// # Panics
    /// If method, target or headers cannot stand in a request.
    #[expect(clippy::panic, reason = "a test that is written wrong should stop")]
    pub fn new(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let framing = Framing::None;
        let method = Method::parse(method.as_bytes())
            .unwrap_or_else(|error| panic!("the method {method:?}: {error}"));
        let mut head = RequestHead::new(method, target.as_bytes(), framing)
            .unwrap_or_else(|error| panic!("the target {target:?}: {error}"));
        for (name, value) in headers {
            head.headers
                .append(*name, value)
                .unwrap_or_else(|error| panic!("the header {name}: {value}: {error}"));
        }
        Self {
            head,
            target: target.as_bytes().to_vec(),
            work: Work::default(),
            connection: connection(),
            route: Some(Entity {
                id: Uuid::from_u128(1),
                name: None,
            }),
            service: Some(Entity {
                id: Uuid::from_u128(2),
                name: None,
            }),
            prefix: None,
            from_upstream: true,
        }
    }

    /// The request as a handler gets it.
    pub fn exchange(&mut self) -> Exchange<'_> {
        Exchange {
            head: &mut self.head,
            target: &mut self.target,
            connection: self.connection,
            matched: Matched {
                route: self.route,
                service: self.service,
                service_host: self.service.map(|_| "service.test"),
                route_path: self.route.map(|_| "/path"),
                captures: None,
                prefix: self.prefix,
            },
            from_upstream: self.from_upstream,
            work: &mut self.work,
        }
    }
}

/// The consumer of a record, as authentication finds it.
pub fn consumer(record: &Value) -> Option<Arc<Consumer>> {
    let record = record.as_object().cloned()?;
    Consumer::read(Arc::new(record)).map(Arc::new)
}

/// A plain connection of a client at 127.0.0.1.
pub fn connection() -> ClientConnection<'static> {
    let client = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);
    ClientConnection {
        client: Some(client),
        peer: Some(client),
        local: None,
        number: 1,
        requests: 1,
        port: 80,
        trusted: false,
        http2: false,
        tls: None,
        forwarded_proto: "http",
        host: "example.test",
        request_id: "0123456789abcdef0123456789abcdef",
        started: std::time::Instant::now(),
    }
}

/// The head of an answer without a body.
pub fn answer_head(status: u16) -> ResponseHead {
    ResponseHead::new(status, Framing::None)
}

/// Services over written records; nothing else can be reached, and time stands still.
pub fn services(records: FakeRecords) -> Services {
    let clock = stdx::ManualClock::at(std::time::SystemTime::UNIX_EPOCH);
    let records = Arc::new(records);
    let outside = Outside::empty();
    Services {
        node: Arc::new(NodeFacts {
            id: Uuid::from_u128(7),
            hostname: "node.test".into(),
            token: "silverback/test".into(),
            sends_via: true,
            cache_memory: 1 << 20,
            lua: crate::UntrustedLua::default(),
            spans: crate::Spans::default(),
        }),
        clock: Arc::new(clock),
        writer: records.clone(),
        records,
        background: Arc::new(Nowhere),
        network: outside.clone(),
        random: Arc::new(Counting::default()),
        shared: Shared::default(),
        metrics: Metrics::default(),
        cluster: Arc::new(FakeCluster::default()),
        counters: Arc::new(Nowhere),
        redis: Arc::new(Nowhere),
        machine: outside,
        log: Arc::new(FakeLog::default()),
    }
}

/// A cluster of this node and of whoever the test plays.
#[derive(Default)]
pub struct FakeCluster {
    told: Mutex<Vec<(&'static str, String)>>,
    hearers: Mutex<Vec<(&'static str, Hearer)>>,
}

impl FakeCluster {
    /// What this node has told the others since the last call.
    pub fn take_told(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut *self.told.lock())
    }

    /// Another node tells something.
    pub fn say(&self, channel: &str, text: &str) {
        let hearers = self.hearers.lock().clone();
        for (_, hearer) in hearers.iter().filter(|(of, _)| *of == channel) {
            hearer(text);
        }
    }
}

impl Cluster for FakeCluster {
    fn tell(&self, channel: &'static str, text: String) -> BoxFuture<Result<(), Unavailable>> {
        self.told.lock().push((channel, text));
        Box::pin(std::future::ready(Ok(())))
    }

    fn hear(&self, channel: &'static str, hearer: Hearer) {
        let mut hearers = self.hearers.lock();
        hearers.retain(|(of, _)| *of != channel);
        hearers.push((channel, hearer));
    }
}

/// A log in which only the test writes.
#[derive(Default)]
pub struct FakeLog(Arc<LogLines>);

impl FakeLog {
    /// The node logs something.
    pub fn write(&self, line: LogLine) {
        self.0.push(line);
    }
}

impl NodeLog for FakeLog {
    fn follow(&self) -> Arc<LogLines> {
        self.0.clone()
    }
}

/// A background where nothing runs, and counters and a Redis that are away.
struct Nowhere;

fn no_counters<T: Send + 'static>() -> BoxFuture<Result<T, Unavailable>> {
    let error = Unavailable("a test has no counters".to_owned());
    Box::pin(std::future::ready(Err(error)))
}

impl Counters for Nowhere {
    fn take(&self, _: Subject, _: Vec<Window>) -> BoxFuture<Result<Taken, Unavailable>> {
        no_counters()
    }

    fn add_usage(&self, _: Subject, _: Vec<Window>, _: i64) -> BoxFuture<Result<(), Unavailable>> {
        no_counters()
    }

    fn usage(&self, _: Subject, _: Vec<Window>) -> BoxFuture<Result<Vec<f64>, Unavailable>> {
        no_counters()
    }
}

impl RedisServers for Nowhere {
    fn open(&self, _: &RedisSettings) -> Arc<dyn Redis> {
        Arc::new(Self)
    }
}

impl Redis for Nowhere {
    fn eval(
        &self,
        _: &'static str,
        _: Vec<String>,
        _: Vec<String>,
    ) -> BoxFuture<Result<RedisValue, RedisError>> {
        let error = RedisError::Unavailable("a test has no Redis".to_owned());
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Background for Nowhere {
    fn spawn(&self, _: BoxFuture<()>) {}

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }

    fn stopping(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// Bytes that count up, so that a test knows what comes.
#[derive(Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A handler of a configuration, as the gateway would make it.
///
/// # Errors
/// As the plugin's.
pub fn build(
    build: crate::Build,
    config: &Value,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let empty = Record::new();
    let configured = Configured {
        id: Uuid::from_u128(9),
        instance_name: None,
        route: None,
        service: None,
        consumer: None,
        config: config.as_object().unwrap_or(&empty),
    };
    build(&configured, services)
}
