//! What the gateway does for plugins: background work, connections to other servers, files, Redis, random numbers.
//!
//! Everything here runs on the control side; a worker only waits for it.

mod background;
mod guard;
mod machine;
mod network;
mod random;
mod redis;

pub use background::Tasks;
pub use guard::{Guard, Probe};
pub use machine::LocalMachine;
pub use network::Connections;
pub use random::SystemRandom;
pub use redis::Servers as RedisServers;
