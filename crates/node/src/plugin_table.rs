//! The plugins that this node runs, and what it does for them.

use std::sync::{Arc, OnceLock};

use cluster::{Cluster, Words};
use net::dns::Resolver;
use net::tls::TrustStore;
use observe::logging;
use plugin_api::{
    BoxFuture, By, Configured, Epoch, Failure, Handler, Lookup, Metrics, NodeFacts, Records,
    Services, Shared, Unavailable,
};
use records::{Epochs, Figures, RecordCache};
use schema::Record;
use services::{Connections, LocalMachine, RedisServers, SystemRandom, Tasks};
use snapshot::PluginTable;
use stdx::Clock;
use store::{Catalog, Repository, Store};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::plugin_counters::StoreCounters;
use crate::plugin_log::ProcessLog;
use crate::plugin_writer::StoreWriter;
use crate::words::PluginWords;

/// What plugins get from the node, and what the node does with it besides.
pub struct Plugins {
    pub services: Services,
    pub tasks: Tasks,
    records: Arc<LateRecords>,
    counters: Arc<StoreCounters>,
    writer: Arc<StoreWriter>,
    /// To and from the other nodes.
    pub words: Arc<Words>,
}

impl Plugins {
    /// For the plugins of one process.
    pub fn new(
        facts: NodeFacts,
        resolver: Resolver,
        trust: Option<TrustStore>,
        clock: Arc<dyn Clock>,
        log: logging::Handle,
    ) -> Self {
        let runtime = Handle::current();
        let records = Arc::new(LateRecords::default());
        let words = Arc::new(Words::default());
        let tasks = Tasks::on(runtime.clone());
        let machine = LocalMachine::on(runtime.clone());
        let network = Connections::on(runtime, resolver, trust);
        let counters = Arc::new(StoreCounters::default());
        let writer = Arc::new(StoreWriter::new(records.clone()));
        Self {
            services: Services {
                node: Arc::new(facts),
                clock,
                records: records.clone(),
                writer: writer.clone(),
                background: Arc::new(tasks.clone()),
                network: Arc::new(network.clone()),
                random: Arc::new(SystemRandom),
                shared: Shared::default(),
                metrics: Metrics::default(),
                cluster: Arc::new(PluginWords(words.clone())),
                counters: counters.clone(),
                redis: Arc::new(RedisServers::new(network)),
                machine: Arc::new(machine),
                log: Arc::new(ProcessLog(log)),
            },
            tasks,
            records,
            counters,
            writer,
            words,
        }
    }

    /// The table for snapshots.
    pub fn table(&self) -> Arc<dyn PluginTable> {
        Arc::new(Table(self.services.clone()))
    }

    /// Lets plugins look records up in what a cluster serves; those of the entities in `warm` are read at once.
    pub fn open_records(&self, cluster: &Arc<Cluster>, catalog: Catalog, warm: Vec<String>) {
        let origin = cluster.clone();
        let cache = RecordCache::new(
            cluster.local(),
            catalog,
            Arc::new(move || !origin.is_down()),
            self.services.node.cache_memory,
            self.records.epochs.clone(),
            Handle::current(),
            self.services.clock.clone(),
        );
        // It is opened once; a second time would change nothing.
        let _ = self.records.cache.set(cache.clone());
        tokio::spawn(async move {
            match cache.warm(&warm).await {
                Ok(read) => tracing::debug!("{read} records are at hand from the start"),
                Err(error) => tracing::warn!("records cannot be read in advance: {error}"),
            }
        });
    }

    /// Lets plugins count in a store.
    pub fn open_counters(&self, store: Arc<dyn Store>) {
        self.counters.open(store);
    }

    /// Lets plugins write through a repository.
    pub fn open_writer(&self, repository: Repository) {
        self.writer.open(repository);
    }

    /// Who has to hear of changes.
    pub fn records(&self) -> Arc<LateRecords> {
        self.records.clone()
    }
}

/// Records of a store that is opened after the plugins are there.
#[derive(Default)]
pub struct LateRecords {
    cache: OnceLock<RecordCache>,
    epochs: Epochs,
}

impl LateRecords {
    /// A record has changed; `None` if it is gone.
    pub fn changed(&self, entity: &str, id: Uuid, record: Option<&Record>) {
        if let Some(cache) = self.cache.get() {
            cache.changed(entity, id, record);
        }
    }

    /// How the cache has done so far; `None` before there is one.
    pub fn figures(&self) -> Option<Figures> {
        self.cache.get().map(RecordCache::figures)
    }

    /// Anything may have changed.
    pub fn clear(&self) {
        if let Some(cache) = self.cache.get() {
            cache.clear();
        }
    }
}

fn not_yet<T: 'static>() -> Lookup<T> {
    let error: BoxFuture<Result<T, Unavailable>> =
        Box::pin(async { Err(Unavailable("the store is not open yet".to_owned())) });
    Lookup::Fetch(error)
}

impl Records for LateRecords {
    fn find(&self, entity: &'static str, by: By<'_>) -> Lookup<Option<Arc<Record>>> {
        self.cache
            .get()
            .map_or_else(not_yet, |cache| cache.find(entity, by))
    }

    fn children(
        &self,
        entity: &'static str,
        foreign: &'static str,
        id: Uuid,
    ) -> Lookup<Arc<[Arc<Record>]>> {
        let cache = self.cache.get();
        cache.map_or_else(not_yet, |cache| cache.children(entity, foreign, id))
    }

    fn epoch(&self, entity: &'static str) -> Epoch {
        self.epochs.of(entity)
    }

    fn note_hits(&self, spared: u64) {
        if let Some(cache) = self.cache.get() {
            cache.note_hits(spared);
        }
    }
}

/// The bundled plugins, with what they need to run.
struct Table(Services);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl PluginTable for Table {
    fn priority(&self, name: &str) -> Option<i64> {
        plugins::get(name).map(|plugin| plugin.declaration.priority.into())
    }

    fn build(&self, name: &str, record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        let plugin = plugins::get(name)
            .ok_or_else(|| Failure::new(format!("this version knows no plugin {name}")))?;
        let build = plugin.build.ok_or_else(|| {
            Failure::new(format!("this version cannot run the plugin {name} yet"))
        })?;
        build(record, &self.0)
    }
}
