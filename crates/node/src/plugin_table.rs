//! The plugins that this node runs, and what it does for them.

use std::sync::{Arc, OnceLock};

use cluster::Words;
use net::dns::Resolver;
use net::tls::TrustStore;
use plugin_api::{
    BoxFuture, By, Configured, Failure, Handler, Lookup, NodeFacts, Records, Services, Shared,
    Unavailable,
};
use records::RecordCache;
use schema::Record;
use services::{Connections, SystemRandom, Tasks};
use snapshot::PluginTable;
use stdx::Clock;
use store::{Catalog, Store};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::words::PluginWords;

/// How many records are kept at hand for plugins.
const RECORDS: u64 = 200_000;

/// What plugins get from the node, and what the node does with it besides.
pub struct Plugins {
    pub services: Services,
    pub tasks: Tasks,
    records: Arc<LateRecords>,
    /// To and from the other nodes.
    pub words: Arc<Words>,
}

impl Plugins {
    /// For the plugins of one process.
    pub fn new(
        id: Uuid,
        hostname: String,
        resolver: Resolver,
        trust: Option<TrustStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let runtime = Handle::current();
        let records = Arc::new(LateRecords::default());
        let words = Arc::new(Words::default());
        let tasks = Tasks::on(runtime.clone());
        let network = Connections::on(runtime, resolver, trust);
        Self {
            services: Services {
                node: Arc::new(NodeFacts {
                    id,
                    hostname: hostname.into(),
                    token: concat!("silverback/", env!("CARGO_PKG_VERSION")).into(),
                }),
                clock,
                records: records.clone(),
                background: Arc::new(tasks.clone()),
                network: Arc::new(network),
                random: Arc::new(SystemRandom),
                shared: Shared::default(),
                cluster: Arc::new(PluginWords(words.clone())),
            },
            tasks,
            records,
            words,
        }
    }

    /// The table for snapshots.
    pub fn table(&self) -> Arc<dyn PluginTable> {
        Arc::new(Table(self.services.clone()))
    }

    /// Lets plugins look records up in a store.
    pub fn open_records(&self, store: Arc<dyn Store>, catalog: Catalog) {
        let clock = self.services.clock.clone();
        let cache = RecordCache::new(store, catalog, RECORDS, Handle::current(), clock);
        // It is opened once; a second time would change nothing.
        let _ = self.records.0.set(cache);
    }

    /// Who has to hear of changes.
    pub fn records(&self) -> Arc<LateRecords> {
        self.records.clone()
    }
}

/// Records of a store that is opened after the plugins are there.
#[derive(Default)]
pub struct LateRecords(OnceLock<RecordCache>);

impl LateRecords {
    /// A record has changed; `None` if it is gone.
    pub fn changed(&self, entity: &str, id: Uuid, record: Option<&Record>) {
        if let Some(cache) = self.0.get() {
            cache.changed(entity, id, record);
        }
    }

    /// Anything may have changed.
    pub fn clear(&self) {
        if let Some(cache) = self.0.get() {
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
        self.0
            .get()
            .map_or_else(not_yet, |cache| cache.find(entity, by))
    }

    fn children(
        &self,
        entity: &'static str,
        foreign: &'static str,
        id: Uuid,
    ) -> Lookup<Arc<[Arc<Record>]>> {
        let cache = self.0.get();
        cache.map_or_else(not_yet, |cache| cache.children(entity, foreign, id))
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
