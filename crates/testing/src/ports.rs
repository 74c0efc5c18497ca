//! Ports for nodes.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the system takes the ports of outgoing connections: a port that is free now is not taken
/// by a client of another test before the node binds it, or while the node is restarted.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// Where this process goes on looking; processes begin at different places.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Ports that nothing listens on.
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}

fn free_port() -> u16 {
    let offset = std::process::id().wrapping_mul(617) % COUNT;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + (offset + step) % COUNT).expect("within the range");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
