//! What plugins add to the metrics page of the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Family, Page};
use parking_lot::Mutex;

/// What state of plugins holds, by a name such as Kong's `prometheus_metrics`.
pub static MEMORY_HELD: Family = Family::gauge(
    "kong_memory_lua_shared_dict_bytes",
    &["node_id", "shared_dict", "kong_subsystem"],
    "Bytes that state of the named kind holds",
);

/// What it may hold at most.
pub static MEMORY_LIMIT: Family = Family::gauge(
    "kong_memory_lua_shared_dict_total_bytes",
    &["node_id", "shared_dict", "kong_subsystem"],
    "Bytes that state of the named kind may hold",
);

/// The metrics page, as plugins contribute to it. Cloning shares it.
///
/// Every family that is shown is a constant of the crate and stands in the list of families that the crate exports
/// (`METRICS`), out of which the reference of metrics is made.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sources: Mutex<BTreeMap<&'static str, Source>>,
    target_health: Arc<()>,
}

type Source = Arc<dyn Fn(&mut Page) + Send + Sync>;

/// As long as somebody holds one, the page shows how targets of upstreams are.
#[derive(Clone)]
pub struct TargetHealthShown {
    _held: Arc<()>,
}

impl Metrics {
    /// Adds figures to the page; a source of the same name is replaced.
    ///
    /// The source is asked on the control side, whenever somebody reads the page. It lives as long as the node: what it
    /// writes belongs to state that outlives handlers ([`Shared`](crate::Shared)).
    pub fn show(&self, name: &'static str, source: impl Fn(&mut Page) + Send + Sync + 'static) {
        self.0.sources.lock().insert(name, Arc::new(source));
    }

    /// Has the page show the health of targets, which can be much.
    pub fn show_target_health(&self) -> TargetHealthShown {
        TargetHealthShown {
            _held: self.0.target_health.clone(),
        }
    }

    /// Whether anybody wants to see the health of targets.
    pub fn shows_target_health(&self) -> bool {
        Arc::strong_count(&self.0.target_health) > 1
    }

    /// Writes what all sources have.
    pub fn write(&self, page: &mut Page) {
        let sources: Vec<Source> = self.0.sources.lock().values().cloned().collect();
        for source in sources {
            source(page);
        }
    }
}
