//! What the Admin and Status APIs learn about this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admin::node::{AvailablePlugin, Memory, MetricsPage, NodeInfo, Traffic};
use arc_swap::ArcSwap;
use config::Settings;
use observe::logging::{Handle, Level};
use plugin_api::Metrics;
use proxy::stats::Stats;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The running process.
pub struct Process {
    id: Uuid,
    settings: ArcSwap<Settings>,
    log: Handle,
    stats: Stats,
    /// Whether a configuration has been published; without one the node must not get traffic.
    configured: AtomicBool,
    draining: AtomicBool,
    /// Tells how the node stands to its store, from the moment on when it is followed.
    cluster: OnceLock<Arc<cluster::Cluster>>,
    /// The metrics page.
    metrics: Metrics,
    /// Counts changes of the log level, so that an old timer does not undo a newer change.
    log_changes: Arc<AtomicU64>,
}

impl Process {
    /// A process that is not configured yet.
    pub fn new(id: Uuid, settings: Settings, log: Handle, stats: Stats, metrics: Metrics) -> Self {
        Self {
            id,
            settings: ArcSwap::from_pointee(settings),
            log,
            stats,
            configured: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            cluster: OnceLock::new(),
            metrics,
            log_changes: Arc::default(),
        }
    }

    /// The settings in use.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Replaces the settings, and the log level with theirs.
    pub fn set_settings(&self, settings: Settings) {
        self.log_changes.fetch_add(1, Ordering::SeqCst);
        if let Ok(level) = settings.logs.level.parse::<Level>() {
            self.log.set_level(level);
        }
        self.settings.store(Arc::new(settings));
    }

    /// The error log.
    pub fn log(&self) -> &Handle {
        &self.log
    }

    /// A configuration has been published.
    pub fn set_configured(&self) {
        self.configured.store(true, Ordering::Release);
    }

    /// The store is followed from now on.
    pub fn set_cluster(&self, cluster: Arc<cluster::Cluster>) {
        // A process has one for as long as it lives.
        let _ = self.cluster.set(cluster);
    }
}

/// The machine's name.
pub fn hostname() -> String {
    let name = nix::unistd::gethostname();
    name.map_or_else(
        |_| "localhost".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[async_trait::async_trait]
impl NodeInfo for Process {
    fn id(&self) -> Uuid {
        self.id
    }

    fn hostname(&self) -> String {
        hostname()
    }

    fn configuration(&self) -> Map<String, Value> {
        self.settings().configuration_json()
    }

    fn plugins(&self) -> Vec<AvailablePlugin> {
        let enabled = plugins::Enabled::of(&self.settings().plugins);
        let rows = enabled.plugins().map(|plugin| plugin.declaration);
        rows.map(|row| AvailablePlugin {
            name: row.name.to_owned(),
            version: row.version.to_owned(),
            priority: i64::from(row.priority),
        })
        .collect()
    }

    fn traffic(&self) -> Traffic {
        let connections = self.stats.connections();
        Traffic {
            accepted: connections.accepted,
            handled: connections.handled,
            active: connections.active,
            reading: connections.reading,
            writing: connections.writing,
            waiting: connections.waiting,
            requests: connections.requests,
        }
    }

    fn memory(&self) -> Memory {
        let resident = resident_memory();
        Memory {
            resident,
            caches: Vec::new(),
            workers: vec![(std::process::id(), resident)],
        }
    }

    fn log_level(&self) -> Level {
        self.log.level()
    }

    fn set_log_level(&self, level: Level, timeout: Duration) {
        let configured = self.settings().logs.level.parse().unwrap_or(Level::Notice);
        let change = self.log_changes.fetch_add(1, Ordering::SeqCst) + 1;
        if timeout.is_zero() {
            self.log.set_level(configured);
            return;
        }
        self.log.set_level(level);
        let (log, changes) = (self.log.clone(), Arc::clone(&self.log_changes));
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            if changes.load(Ordering::SeqCst) == change {
                log.set_level(configured);
            }
        });
    }

    fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Acquire) {
            return Err("draining".to_owned());
        }
        if !self.configured.load(Ordering::Acquire) {
            return Err("no configuration available (empty configuration present)".to_owned());
        }
        let strict = self.settings().strict_readiness;
        let contact = self.cluster.get().map(|cluster| cluster.status().contact);
        // Compat: Kong is not ready while it cannot connect, and these are its words.
        if strict && contact.is_some_and(|contact| contact != cluster::Contact::Up) {
            return Err("failed to connect to database".to_owned());
        }
        Ok(())
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn metrics(&self, accept: Option<&str>) -> Option<MetricsPage> {
        let format = metrics::Format::accepted(accept);
        let mut page = metrics::Page::new();
        self.metrics.write(&mut page);
        Some(MetricsPage {
            media_type: format.media_type(),
            text: page.finish(format),
        })
    }

    fn cached(&self, _: &str) -> Option<Value> {
        None
    }

    fn drop_cached(&self, _: Option<&str>) {}
}

/// The process's resident memory in bytes; 0 where the system does not tell.
pub(crate) fn resident_memory() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * PAGE
}
