//! What the gateway does for plugins: background work, connections to other servers, random numbers.
//!
//! Everything here runs on the control side; a worker only waits for it.

mod background;
mod network;
mod random;

pub use background::Tasks;
pub use network::Connections;
pub use random::SystemRandom;
