//! All that the author of a plugin sees.
//!
//! A plugin is a folder: what it is ([`Declaration`]), what it does ([`Handler`]), and a [`Build`] function that makes the
//! one out of a record's configuration. What a handler learns of a request is in [`Exchange`], what it may answer in
//! [`Reply`], what the gateway does for it in [`Services`].
//!
//! Heads are the HTTP engine's own ([`RequestHead`], [`ResponseHead`]): nothing is copied for a plugin that only looks.

mod arguments;
mod body_arguments;
mod cluster;
mod consumer;
mod counters;
mod declaration;
mod endpoint;
mod epoch;
mod exchange;
pub mod fields;
mod handler;
mod handshake;
mod header_edit;
mod log_entry;
mod machine;
mod metrics;
mod node_log;
mod reply;
mod services;
mod shared;
mod spans;
mod summary;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod untrusted_lua;
mod workspace;
mod writer;

use std::sync::Arc;

use schema::Record;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use self::metrics::{MEMORY_HELD, MEMORY_LIMIT, Metrics, TargetHealthShown};
pub use ::metrics::{Family, Page};
pub use arguments::{Argument, arguments, push_argument, without_argument};
pub use body_arguments::{BodyArguments, Part};
pub use cluster::{Cluster, Hearer};
pub use consumer::{Consumer, Credential};
pub use counters::{Counters, Redis, RedisError, RedisServers, RedisSettings, RedisValue};
pub use declaration::{BUNDLED_VERSION, Declaration, Plugin};
pub use endpoint::{Endpoint, EndpointCall, Run};
pub use epoch::Epoch;
pub use exchange::{
    Connection as ClientConnection, Entity, Exchange, LogEdit, LogMode, Matched, Tls, Upstream,
    Work,
};
pub use handler::{Failure, Flow, Handler, Needs, Outcome, Phase, Phases, Step};
pub use handshake::{Handshake, KeyPair};
pub use header_edit::{HeaderEdit, HeaderValue};
pub use http1::{Headers, Known, Method, RequestHead, ResponseHead, Version};
pub use log_entry::{Described, LogEntry, LogSubjects};
pub use machine::Machine;
pub use node_log::{LogLine, LogLines, NodeLog};
pub use reply::{Body, Reply};
pub use router::{Captures, normalize_path};
pub use services::{
    Background, BoxFuture, By, Connection, Destination, HttpProxy, HttpRequest, HttpResponse,
    Lookup, Network, NetworkError, NodeFacts, Random, Records, Services, TlsOptions, Unavailable,
};
pub use shared::Shared;
pub use spans::{Spans, Turn};
pub use summary::{Latencies, Source, Summary, Try, TryFailure};
pub use untrusted_lua::{LuaMode, UntrustedLua};
pub use workspace::Workspace;
pub use writer::{WriteError, Writer};

/// One record of the entity `plugins`, as a handler is made of it.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    pub id: Uuid,
    pub instance_name: Option<&'a str>,
    pub route: Option<Uuid>,
    pub service: Option<Uuid>,
    pub consumer: Option<Uuid>,
    /// The configuration, valid by the declaration, with its defaults, references to secrets resolved.
    pub config: &'a Record,
}

impl Configured<'_> {
    /// The configuration as a type of the plugin's.
    ///
    /// # Errors
    /// When the type does not fit the declaration.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(self.config)
            .map_err(|error| Failure::new(format!("the configuration cannot be read: {error}")))
    }
}

/// Makes a handler of a record.
///
/// # Errors
/// When a valid configuration cannot be used, such as a secret that is not a key. The record is reported, and requests
/// of its chain are refused.
pub type Build = fn(&Configured<'_>, &Services) -> Result<Arc<dyn Handler>, Failure>;

#[cfg(test)]
mod tests;
