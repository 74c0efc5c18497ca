//! What the node publishes and the workers read: the snapshot and the settings, swapped as one.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use health::Registry;
use net::dns::Resolver;
use net::tls::{CertificateLookup, ClientTlsCache, ServerChoice, ServerTls};
use parking_lot::Mutex;
use snapshot::Snapshot;
use stdx::Clock;
use tokio::sync::Notify;

use crate::access_log::AccessLog;
use crate::settings::DataPlaneSettings;
use crate::stats::Stats;

/// One state of everything that an exchange goes by. It never changes; a request that has begun keeps the one it has.
#[derive(Debug)]
pub struct Published {
    pub snapshot: Arc<Snapshot>,
    pub settings: Arc<DataPlaneSettings>,
    /// The setting `proxy_access_log`; none when it is off.
    pub access_log: Option<AccessLog>,
}

impl Published {
    /// The limits for request heads, as the HTTP/1 parser takes them.
    pub(crate) fn head_limits(&self) -> http1::Limits {
        let limits = &self.settings.limits;
        http1::Limits {
            line: limits.header_line,
            head: limits.head,
            headers: limits.header_count,
            ..http1::Limits::default()
        }
    }
}

/// What all workers share with each other and with the node.
#[derive(Debug)]
pub struct Shared {
    pub(crate) published: ArcSwap<Published>,
    /// What was published before and may still be held by a request. The lock also keeps two changes at a time from
    /// losing one.
    retired: Mutex<Vec<Arc<Published>>>,
    pub(crate) resolver: Resolver,
    /// What is known of targets.
    pub(crate) health: Registry,
    /// Told when something else is published.
    changed: Notify,
    pub(crate) stats: Stats,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) server_tls: ArcSwapOption<ServerTls>,
    pub(crate) client_tls: ClientTlsCache,
    /// Where TLS handshakes are computed, if not on the worker.
    pub(crate) handshakes: Option<tokio::runtime::Handle>,
}

impl Shared {
    /// A data plane that serves `snapshot`. Handshakes run on `handshakes` if it is given, so that a costly one does
    /// not hold up the requests of its worker.
    pub fn new(
        snapshot: Arc<Snapshot>,
        settings: DataPlaneSettings,
        access_log: Option<AccessLog>,
        resolver: Resolver,
        clock: Arc<dyn Clock>,
        handshakes: Option<tokio::runtime::Handle>,
    ) -> Arc<Self> {
        let published = Published {
            snapshot,
            settings: Arc::new(settings),
            access_log,
        };
        Arc::new(Self {
            published: ArcSwap::from_pointee(published),
            retired: Mutex::default(),
            resolver,
            health: Registry::new(clock.clone()),
            changed: Notify::new(),
            stats: Stats::default(),
            clock,
            server_tls: ArcSwapOption::empty(),
            client_tls: ClientTlsCache::default(),
            handshakes,
        })
    }

    /// Serves another snapshot from the next request on. When this returns, no request that begins later sees the old one.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.change(|now| Published {
            snapshot,
            settings: now.settings.clone(),
            access_log: now.access_log.clone(),
        });
    }

    /// Goes by other settings from the next request on.
    pub fn configure(&self, settings: DataPlaneSettings, access_log: Option<AccessLog>) {
        self.change(|now| Published {
            snapshot: now.snapshot.clone(),
            settings: Arc::new(settings),
            access_log,
        });
    }

    /// How listeners with `ssl` shake hands; without it their connections are refused.
    pub fn set_server_tls(&self, tls: Option<Arc<ServerTls>>) {
        self.server_tls.store(tls);
    }

    /// What is served now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load().snapshot.clone()
    }

    /// Frees what was published before and no request holds any more, and tells whether there was any. With a large
    /// configuration that takes a while, so the node does it on a thread of its own; a worker never does.
    pub fn free_retired(&self) -> bool {
        let mut retired = self.retired.lock();
        let free = retired.extract_if(.., |published| Arc::strong_count(published) == 1);
        let free: Vec<_> = free.collect();
        drop(retired);
        !free.is_empty()
    }

    /// What is served now, with the settings that it is served by.
    pub fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Resolves when something else was published since the last time. For one waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is known of the health of targets.
    pub fn health(&self) -> &Registry {
        &self.health
    }

    /// How names are resolved.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Compiled TLS settings, shared with the workers.
    pub fn client_tls(&self) -> &ClientTlsCache {
        &self.client_tls
    }

    /// The counters of all workers.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn change(&self, next: impl FnOnce(&Published) -> Published) {
        let mut retired = self.retired.lock();
        let now = self.published.load_full();
        self.published.store(Arc::new(next(&now)));
        retired.push(now);
        self.changed.notify_one();
    }
}

/// Chooses the certificate for a handshake: the one whose SNI matches, else the node's own.
impl CertificateLookup for Published {
    fn find(&self, server_name: Option<&str>) -> Option<ServerChoice> {
        let configured = self
            .snapshot
            .server_certificate(server_name)
            .map(|certificate| certificate.server_identity());
        configured
            .or(self.settings.default_identity.as_ref())
            .cloned()
            .map(ServerChoice::from)
    }
}
