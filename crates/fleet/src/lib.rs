//! Real servers for tests, drills and demonstrations: PostgreSQL, Redis, OpenLDAP, nginx, Prometheus, Silverback nodes
//! and an example upstream.
//!
//! Everything lives in a temporary folder, listens on free loopback ports, and ends when its owner is dropped, or when
//! the process that started it dies in whatever way. Programs are those that are installed; a missing one is an error
//! that names it. All calls block. Nothing here knows what Silverback's crates contain: a node is a program with
//! settings.

mod error;
mod folder;
pub mod http;
mod nginx;
mod node;
mod ports;
mod postgres;
mod process;
mod program;
mod prometheus;
mod redis;
mod slapd;
mod spawner;
mod upstream;
mod wait;

pub use error::Error;
pub use folder::Folder;
pub use nginx::Nginx;
pub use nix::sys::signal::Signal;
pub use node::Node;
pub use ports::free_ports;
pub use postgres::{Durability, Postgres, Stop};
pub use process::{Launch, Process};
pub use program::{find_program, without_settings};
pub use prometheus::Prometheus;
pub use redis::{Redis, RedisCluster, RedisSentinel};
pub use slapd::Slapd;
pub use upstream::Upstream;
pub use wait::{PATIENCE, until};

/// What most calls here answer.
pub type Result<T> = std::result::Result<T, Error>;
