//! The Admin API and the Status API.
//!
//! Endpoints of entities are not written down: they follow from the declarations ([`endpoint`]), and what an entity
//! does differently is one file in [`resource`]. Pages about the node are rows of one table ([`pages`]).
//! What these APIs need of the running process comes in through the traits of [`node`] and [`cluster`]; they know the store only as
//! a [`store::Repository`], and never see the data plane.

mod answer;
pub mod arguments;
pub mod cluster;
mod endpoint;
mod entity;
mod error;
pub mod node;
pub mod openapi;
mod outage;
mod pages;
mod paging;
mod plugin_endpoints;
mod propagation;
mod resource;
mod router;
mod server;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::HeaderValue;
use schema::{Context, Operation, Record, Schema, Subschemas};
use serde_json::Value;
use stdx::Clock;
use store::Repository;
use uuid::Uuid;

pub use cluster::Cluster;
pub use endpoint::Endpoint;
pub use error::Error;
pub use node::{DeclarativeConfig, NodeInfo, TargetHealth};
pub use plugin_endpoints::{
    NoPluginEndpoints, PluginAnswer, PluginBody, PluginEndpoint, PluginEndpoints, PluginRequest,
};
pub use propagation::{CONFIG_VERSION, LAGGARDS};
use router::Origins;
pub use server::{Limits, serve_connection};

/// What every request of the Admin API can reach; cheap to clone.
#[derive(Clone)]
pub struct State {
    pub repository: Repository,
    /// The entities that have endpoints.
    pub schemas: &'static [Schema],
    pub subschemas: Arc<dyn Subschemas>,
    pub node: Arc<dyn NodeInfo>,
    pub health: Arc<dyn TargetHealth>,
    pub cluster: Arc<dyn Cluster>,
    pub plugins: Arc<dyn PluginEndpoints>,
    /// Only on a node without a database.
    pub declarative: Option<Arc<dyn DeclarativeConfig>>,
    pub clock: Arc<dyn Clock>,
    pub options: Arc<Options>,
}

/// What can be set about the APIs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The value of the `Server` header; `None` leaves it out.
    pub server: Option<HeaderValue>,
    /// Whether answers carry `X-Kong-Admin-Latency`.
    pub latency_header: bool,
    /// Origins that browsers may call from; empty for any.
    pub allowed_origins: Vec<HeaderValue>,
    /// The size of the largest body, in bytes.
    pub max_body_size: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a read waits for a version that it needs.
    pub apply_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: HeaderValue::from_str(concat!("silverback/", env!("CARGO_PKG_VERSION"))).ok(),
            latency_header: true,
            allowed_origins: Vec::new(),
            max_body_size: 10 * 1024 * 1024,
            body_timeout: Duration::from_secs(60),
            apply_timeout: Duration::from_secs(2),
        }
    }
}

impl State {
    /// The declaration of an entity.
    pub fn schema(&self, name: &str) -> Option<&'static Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// A stored record as answers show it.
    pub(crate) fn present(&self, schema: &Schema, record: Record) -> Record {
        schema.present(record, self.subschemas.as_ref())
    }

    /// Checks a record as if it were to be created, without looking at the store.
    fn validate(&self, schema: &Schema, input: Record) -> Result<(), Error> {
        let mut new_id = Uuid::new_v4;
        let mut context = Context::new(self.clock.as_ref(), &mut new_id, self.subschemas.as_ref());
        schema.prepare(Operation::Insert, input, None, &mut context)?;
        Ok(())
    }

    /// Says what is wrong with a value of one field: a message, or a tree.
    fn validate_field(&self, schema: &Schema, field: &str, value: &Value) -> Result<(), Value> {
        let mut new_id = Uuid::new_v4;
        let mut context = Context::new(self.clock.as_ref(), &mut new_id, self.subschemas.as_ref());
        schema.validate_field(field, value, &mut context)
    }
}

/// The Admin API.
pub fn router(state: State) -> Router {
    let endpoints: Arc<[Endpoint]> = endpoint::table(state.schemas, state.plugins.all()).into();
    router::build(state, endpoints, Origins::Answered)
}

/// What a client is told that speaks plain HTTP to a port for TLS, whatever it asks.
pub fn needs_tls_router() -> Router {
    Router::new().fallback(|| async { answer::needs_tls() })
}
