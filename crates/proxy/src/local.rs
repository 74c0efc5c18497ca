//! What the tasks of one worker thread share. Nothing here is touched by another thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::Cache;
use bytes::BytesMut;
use http1::{BufferPool, Known, OwnLines};
use net::connect::Connector;
use net::pool::{Pool, PoolSettings};
use net::tls::ClientTls;
use snapshot::{Service, Upstream};
use stdx::{Clock, SeededRandom};
use uuid::Uuid;

use crate::access_log::Batch;
use crate::balancing::Balancers;
use crate::bypass::Pipes;
use crate::deadline::Deadlines;
use crate::error::Error;
use crate::grpc::Connections;
use crate::moment::Moment;
use crate::plugins::Chains;
use crate::published::{Published, Shared};
use crate::request_id::RequestId;
use crate::response_head::charset_lines;
use crate::settings::UpstreamKeepalive;
use crate::stats::Shard;
use crate::target;
use crate::upstream::Connection;
use crate::wall_time::WallTime;

/// What was published when an exchange began. Perf: its references are counted by the thread alone.
#[derive(Debug)]
pub(crate) struct Current {
    published: Arc<Published>,
    /// `Via` for what came over HTTP/1.1 and did not come through others. Perf: prepared once.
    pub via: OwnLines,
    /// See [`charset_lines`].
    pub charset_lines: [OwnLines; 6],
}

impl Current {
    fn new(published: Arc<Published>) -> Rc<Self> {
        let mut via = OwnLines::new();
        // Only a token that is no header value is refused, and then a head that says it is.
        let _ = via.add_joined(Known::Via, &[b"1.1 ", &published.settings.server_token]);
        Rc::new(Self {
            via,
            charset_lines: charset_lines(&published.settings.charset),
            published,
        })
    }
}

impl std::ops::Deref for Current {
    type Target = Published;

    fn deref(&self) -> &Published {
        &self.published
    }
}

/// How the cache gets at what is published.
#[derive(Debug, Clone)]
pub(crate) struct PublishedSource(Arc<Shared>);

impl std::ops::Deref for PublishedSource {
    type Target = arc_swap::ArcSwap<Published>;

    fn deref(&self) -> &Self::Target {
        &self.0.published
    }
}

/// The state of a worker.
pub(crate) struct Local {
    pub shared: Arc<Shared>,
    pub stats: Arc<Shard>,
    pub clock: Arc<dyn Clock>,
    pub deadlines: Rc<Deadlines>,
    pub moment: Moment,
    pub wall_time: WallTime,
    pub log: Batch,
    pub buffers: BufferPool,
    pub pipes: Rc<Pipes>,
    pub pool: Pool<Box<Connection>>,
    pub grpc: Connections,
    pub connector: Connector,
    pub balancers: Balancers,
    pub chains: Chains,
    pub random: RefCell<SeededRandom>,
    /// Where heads are written.
    pub scratch: Cell<BytesMut>,
    /// Where the lines that we add to heads are put together.
    pub own_lines: Cell<OwnLines>,
    /// Where the path and the query for an upstream were written last.
    target: Cell<Vec<u8>>,
    source: RefCell<Cache<PublishedSource, Arc<Published>>>,
    current: RefCell<Rc<Current>>,
    /// How the services of the current snapshot speak TLS, as far as they were asked.
    client_tls: RefCell<HashMap<(Uuid, Option<Uuid>), ClientTls>>,
    /// What the clock said since the exchange at work waited last.
    looked: Cell<Option<Instant>>,
    draining: Cell<bool>,
    closes_idle: Cell<bool>,
}

impl Local {
    pub fn new(shared: Arc<Shared>) -> Rc<Self> {
        let current = shared.published.load_full();
        let clock = shared.clock.clone();
        Rc::new(Self {
            stats: shared.stats.shard(),
            deadlines: Deadlines::new(clock.clone()),
            moment: Moment::new(clock.clone()),
            wall_time: WallTime::new(clock.clone()),
            log: Batch::default(),
            buffers: BufferPool::default(),
            pipes: Rc::default(),
            pool: Pool::new(pool_settings(&current.settings.upstream_keepalive)),
            grpc: Connections::default(),
            connector: Connector,
            balancers: Balancers::default(),
            chains: Chains::default(),
            random: RefCell::new(SeededRandom::from_entropy()),
            scratch: Cell::default(),
            own_lines: Cell::default(),
            target: Cell::default(),
            source: RefCell::new(Cache::new(PublishedSource(shared.clone()))),
            current: RefCell::new(Current::new(current)),
            client_tls: RefCell::default(),
            looked: Cell::new(None),
            draining: Cell::new(false),
            closes_idle: Cell::new(false),
            clock,
            shared,
        })
    }

    /// What is published now. Perf: a load and a comparison; the count of references is the thread's own.
    pub fn published(&self) -> Rc<Current> {
        let mut source = self.source.borrow_mut();
        let latest = source.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(latest, &current.published) {
            *current = Current::new(latest.clone());
            self.client_tls.borrow_mut().clear();
            self.pool
                .set_settings(pool_settings(&latest.settings.upstream_keepalive));
        }
        current.clone()
    }

    /// A new request id.
    pub fn new_id(&self) -> RequestId {
        RequestId::new(&mut self.random.borrow_mut())
    }

    /// A new random id, of the kind that protects nothing.
    pub fn new_uuid(&self) -> Uuid {
        let mut random = self.random.borrow_mut();
        let bytes = [random.next_u64(), random.next_u64()].map(u64::to_be_bytes);
        let mut both = [0; 16];
        both[..8].copy_from_slice(&bytes[0]);
        both[8..].copy_from_slice(&bytes[1]);
        uuid::Builder::from_random_bytes(both).into_uuid()
    }

    /// How to speak TLS to the upstream of a service.
    pub fn client_tls(
        &self,
        published: &Published,
        service: &Service,
        upstream: Option<&Upstream>,
    ) -> Result<ClientTls, Error> {
        let key = (service.id, upstream.map(|upstream| upstream.id));
        if let Some(known) = self.client_tls.borrow().get(&key) {
            return Ok(known.clone());
        }
        let compiled = target::compile_tls(published, service, upstream, &self.shared.client_tls)?;
        self.client_tls.borrow_mut().insert(key, compiled.clone());
        Ok(compiled)
    }

    /// An empty place for the path and the query that an upstream is asked for.
    pub fn take_target(&self) -> Vec<u8> {
        let mut target = self.target.take();
        target.clear();
        target
    }

    /// Takes such a place back, unless it grew large.
    pub fn give_target(&self, target: Vec<u8>) {
        const MOST: usize = 4 << 10;
        if target.capacity() <= MOST {
            self.target.set(target);
        }
    }

    /// The time, which [`Local::now`] gives until it is forgotten.
    pub fn look_at_clock(&self) -> Instant {
        let now = self.clock.monotonic();
        self.looked.set(Some(now));
        now
    }

    /// The time since which the exchange at work has not waited.
    ///
    /// Perf: no more than one look at the clock for each time that an exchange is taken up (bench case "GET, 1 KiB answer").
    pub fn now(&self) -> Instant {
        self.looked.get().unwrap_or_else(|| self.look_at_clock())
    }

    /// Has the next who wants to know the time look at the clock: work was done that took some.
    pub fn forget_time(&self) {
        self.looked.set(None);
    }

    /// Runs the work of an exchange; the time is forgotten whenever it waits.
    pub fn forgetting_time<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> impl Future<Output = T> {
        std::future::poll_fn(move |cx| {
            let polled = work.as_mut().poll(cx);
            self.forget_time();
            polled
        })
    }

    /// Whether the worker is to end: every answer is the last one of its connection.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Begins to end.
    pub fn drain(&self) {
        self.draining.set(true);
        self.deadlines.wake_all();
    }

    /// Whether connections that wait for a request are to close.
    pub fn closes_idle(&self) -> bool {
        self.closes_idle.get()
    }

    /// Ends the grace of connections that wait for a request: they are woken, and close.
    pub fn close_idle(&self) {
        self.closes_idle.set(true);
        self.deadlines.wake_all();
    }

    /// What has to be done from time to time: expired deadlines, log lines, idle upstream connections.
    /// Tells whether it has to be done again soon.
    pub fn housekeep(&self) -> bool {
        let armed = self.deadlines.sweep();
        let published = self.published();
        if let Some(log) = &published.access_log {
            self.log.flush(log);
        }
        armed
    }

    /// The slower part of it, every second or so.
    pub fn sweep_upstreams(&self) {
        let now = self.clock.monotonic();
        let published = self.published();
        self.pool.sweep(now);
        self.stats.upstream_idle.set(self.pool.len());
        self.grpc
            .sweep(now, published.settings.upstream_keepalive.idle_timeout);
        self.balancers
            .retain(|id| published.snapshot.upstream_by_id(id).is_some());
    }
}

fn pool_settings(keepalive: &UpstreamKeepalive) -> PoolSettings {
    PoolSettings {
        size: keepalive.pool_size,
        max_requests: (keepalive.max_requests > 0).then_some(keepalive.max_requests),
        idle_timeout: (!keepalive.idle_timeout.is_zero()).then_some(keepalive.idle_timeout),
    }
}
