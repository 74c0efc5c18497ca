//! Ports for nodes.

/// Ports that nothing listens on.
pub fn free_ports<const N: usize>() -> [u16; N] {
    fleet::free_ports().expect("free ports")
}
