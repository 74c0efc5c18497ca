//! The thread that probes run on.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime of one thread. What runs on it ends when this is dropped.
///
/// Perf: very many probes on the threads of the control runtime would wake one thread from the other all the time
/// (`cargo xtask bench --only balancer`), and would make the Admin API wait.
#[derive(Debug)]
pub struct ProbeThread {
    runtime: Handle,
    /// The thread lives as long as this.
    _alive: oneshot::Sender<()>,
}

impl ProbeThread {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || {
                // Only its end is waited for: nothing is ever sent.
                let _ = runtime.block_on(ended);
            })?;
        Ok(Self {
            runtime: handle,
            _alive: alive,
        })
    }

    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
