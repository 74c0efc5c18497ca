//! Memory that a change of the configuration leaves behind, and how the system gets it back.
//!
//! Perf: the allocator gives away what has been free for a second when a thread ends, and otherwise not before somebody
//! needs memory: a node would keep what a change needed until the next one, 420 MiB after `POST /config` of 100,000
//! services and routes.

use std::hint::black_box;
use std::time::Duration;

use tokio::sync::Notify;

/// How long after a change what it has freed is given back.
const SETTLED: Duration = Duration::from_secs(2);

/// The allocator is one for the whole process.
static FREED: Notify = Notify::const_new();

/// Says that there may be much to give back.
pub fn freed() {
    FREED.notify_one();
}

/// Gives back what is free, whenever somebody has freed much.
pub async fn give_back() {
    loop {
        FREED.notified().await;
        tokio::time::sleep(SETTLED).await;
        let thread = std::thread::Builder::new().name("memory".to_owned());
        // A thread that never had any memory would have no part in it.
        let ended = thread.spawn(|| drop(black_box(Box::new(0))));
        if let Err(error) = ended {
            tracing::debug!("memory is given back later: {error}");
        }
    }
}
