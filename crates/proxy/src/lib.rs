//! The data plane: what happens to the traffic.
//!
//! Thread per core. A [`Worker`] is one thread with a runtime, listeners, upstream pools and buffers of its own;
//! workers share nothing that a request writes. What a request goes by (snapshot and settings) is one immutable value
//! that the node swaps ([`Shared`]).
//!
//! The life of an exchange is `exchange::Exchange::run`: it names the phases in their order, and each phase is a module.
//! A request is read by `http1_client` or `http2_client`, which hand heads of one form to the exchange, so that the
//! phases know no HTTP version but where it matters. Plugins will run between those phases.
//!
//! Invariants:
//! - This crate knows no store and no Admin API.
//! - Nothing that a client or an upstream sends may panic; should a panic happen, it ends one exchange.
//! - A worker never waits for a disk, a lock that a change of configuration takes, or another worker.
//! - Bytes that are not a complete, unambiguous request never reach an upstream.

mod accept;
pub mod access_log;
mod balancing;
mod bypass;
mod client;
mod client_address;
mod deadline;
mod error;
mod exchange;
mod filtered;
mod forward;
mod forwarding;
mod grpc;
mod handshake;
mod hash_key;
mod held;
mod http1_client;
mod http2_client;
mod latency;
mod lease;
mod local;
pub mod media;
pub mod moment;
mod own_answer;
mod panics;
mod peer;
mod plugins;
mod published;
mod reply;
mod request_body;
mod request_id;
mod response_body;
mod response_head;
mod routing;
pub mod settings;
mod sink;
pub mod stats;
mod target;
mod target_names;
mod tries;
mod tunnel;
mod upload;
mod upstream;
mod wall_time;
mod wire;
mod worker;

pub use error::{Blame, Error};
pub use published::{Published, Shared};
pub use settings::DataPlaneSettings;
pub use worker::{Worker, WorkerConfig};
