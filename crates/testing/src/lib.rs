//! What system tests are made of: a real node in a process of its own, upstreams that record the bytes they get, and
//! clients that send any bytes they like.
//!
//! Nothing here shares code with the node, so that a mistake in the node is not repeated in what judges it. Everything
//! is blocking, has free loopback ports, and ends when it is dropped. Tests wait for conditions ([`eventually`]) or for
//! bytes; a wait that never ends fails after [`PATIENCE`].
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::panic,
    reason = "the helpers of tests fail the test"
)]

mod backend;
mod client;
mod cluster;
mod eventually;
pub mod http2;
mod message;
mod name_server;
mod node;
mod place;
mod ports;
mod tls;

pub use backend::{Backend, Received, Then};
pub use client::Client;
pub use cluster::{Cluster, eventually_answers};
pub use eventually::{PATIENCE, eventually};
pub use fleet::{Postgres, Signal, Stop};
pub use message::{Answer, read_answer};
pub use name_server::{NameServer, Record};
pub use node::{Node, admin};
pub use place::{Place, texts};
pub use ports::free_ports;
pub use tls::{CertifiedKey, self_signed};
