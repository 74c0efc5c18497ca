//! What the Admin and Status APIs ask of the node that they run in.
//!
//! The APIs know the store and the declarations; everything about the running process comes through these traits.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use observe::logging::Level;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Facts about the process, and the few things that can be done to it.
#[async_trait]
pub trait NodeInfo: Send + Sync {
    /// The node's own id, kept over restarts.
    fn id(&self) -> Uuid;

    /// The machine's name.
    fn hostname(&self) -> String;

    /// The `configuration` object of `GET /`: every setting by name, secrets masked.
    fn configuration(&self) -> Map<String, Value>;

    /// The plugins that this node can run, in any order.
    fn plugins(&self) -> Vec<AvailablePlugin>;

    /// The data plane's counters.
    fn traffic(&self) -> Traffic;

    /// The memory that the process holds.
    fn memory(&self) -> Memory;

    /// The level of the error log.
    fn log_level(&self) -> Level;

    /// Sets the level of the error log, back to the configured one after `timeout`; `Duration::ZERO` means at once.
    fn set_log_level(&self, level: Level, timeout: Duration);

    /// Whether the node can proxy now; the text says why not.
    fn readiness(&self) -> Result<(), String>;

    /// Makes [`readiness`](Self::readiness) say `draining` from now on, so that load balancers send no new clients.
    fn drain(&self);

    /// The metrics page for a reader who sent this `Accept`; `None` if nothing produces one. It may take a while.
    fn metrics(&self, accept: Option<&str>) -> Option<MetricsPage>;

    /// The cached value under a key of the entity cache: `None` if there is none.
    fn cached(&self, key: &str) -> Option<Value>;

    /// Drops one cached value, or all with `None`.
    fn drop_cached(&self, key: Option<&str>);
}

/// A metrics page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    pub media_type: &'static str,
    pub text: String,
}

/// A plugin that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailablePlugin {
    pub name: String,
    pub version: String,
    pub priority: i64,
}

/// Connections and requests of the proxy listeners, as nginx counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub accepted: u64,
    pub handled: u64,
    pub active: u64,
    pub reading: u64,
    pub writing: u64,
    pub waiting: u64,
    pub requests: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the process holds in RAM.
    pub resident: u64,
    /// The caches by name: used and maximum size.
    pub caches: Vec<(String, u64, u64)>,
    /// The process ids of the workers with what each holds.
    pub workers: Vec<(u32, u64)>,
}

/// What the balancers know about targets.
#[async_trait]
pub trait TargetHealth: Send + Sync {
    /// The health of all targets of an upstream; `None` if no balancer runs for it (yet).
    async fn targets(&self, upstream: Uuid) -> Option<Vec<TargetReport>>;

    /// The health of the upstream as a whole; `None` as above.
    async fn balancer(&self, upstream: Uuid) -> Option<BalancerReport>;

    /// Marks one address of a target, or all of them, healthy or unhealthy; the text says why that is impossible.
    async fn mark(
        &self,
        upstream: Uuid,
        target: &str,
        address: Option<&str>,
        healthy: bool,
    ) -> Result<(), String>;
}

/// The health of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetReport {
    /// `host:port`, as the target's record has it.
    pub target: String,
    pub host: String,
    pub port: u16,
    /// The kind of DNS record that gave the addresses, such as `A` or `SRV`.
    pub dns: String,
    pub node_weight: u32,
    pub weight: WeightReport,
    pub addresses: Vec<AddressReport>,
}

/// How much of a weight can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WeightReport {
    pub total: u64,
    pub available: u64,
    pub unavailable: u64,
}

/// The health of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressReport {
    pub ip: String,
    pub port: u16,
    pub weight: u32,
    pub health: Health,
    /// Why it is out, and since when.
    pub reason: Option<(String, SystemTime)>,
}

/// What is known about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Unhealthy,
    /// No health check is configured.
    Off,
}

impl Health {
    /// The word that the Admin API uses.
    pub fn name(self) -> &'static str {
        match self {
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
            Health::Off => "HEALTHCHECKS_OFF",
        }
    }
}

/// The health of an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct BalancerReport {
    pub health: Health,
    /// Whether enough of the weight can be used, checked or not.
    pub healthy: bool,
    pub targets: Vec<TargetReport>,
    pub weight: WeightReport,
}

/// The configuration of a node without a database, as a whole.
#[async_trait]
pub trait DeclarativeConfig: Send + Sync {
    /// The hash of the configuration in use.
    fn hash(&self) -> String;

    /// The configuration in use as YAML; the text says what went wrong.
    async fn export(&self) -> Result<String, String>;

    /// Replaces the configuration in use.
    ///
    /// With `check_hash`, a document equal to the one in use changes nothing.
    async fn load(
        &self,
        document: Document,
        check_hash: bool,
        flatten_errors: bool,
    ) -> Result<Loaded, LoadError>;
}

/// A declarative configuration as it came in.
#[derive(Debug, Clone)]
pub enum Document {
    /// YAML or JSON text.
    Text(String),
    /// A JSON object with `_format_version`.
    Object(Map<String, Value>),
}

/// What became of a document.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// The node uses it now; as JSON, the entities by collection name, then by id.
    Replaced(String),
    /// It is the configuration in use.
    Unchanged,
}

/// Why a document was not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// It has mistakes; the value is the whole body of the answer.
    #[error("invalid declarative configuration")]
    Invalid(Value),
    /// Another document is being loaded.
    #[error("Currently loading previous configuration")]
    Busy,
    /// The node could not store or apply it.
    #[error("{0}")]
    Failed(String),
}
