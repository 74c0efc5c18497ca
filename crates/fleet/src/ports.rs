//! Ports for servers.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

/// Below the range from which the system takes the ports of outgoing connections: a port that is free now is not taken
/// by a client before its server binds it, or while that server is restarted. Above the fixed ports of the upstreams
/// that the conformance cases name.
const FIRST: u32 = 16_000;
const COUNT: u32 = 16_000;

/// Where this process goes on looking; processes begin at different places.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Ports of 127.0.0.1 that nothing listens on, and that no other call of this process was given lately.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free_port()?;
    }
    Ok(ports)
}

fn free_port() -> Result<u16> {
    let offset = std::process::id().wrapping_mul(617) % COUNT;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let Ok(port) = u16::try_from(FIRST + offset.wrapping_add(step) % COUNT) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::io("a free port")(io::ErrorKind::AddrInUse.into()))
}
