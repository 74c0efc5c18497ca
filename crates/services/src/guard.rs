//! Keeps those who ask a server from waiting for one that does not answer.
//!
//! The first who wait when a server stops answering wait for their timeout. From then on everybody is refused at once,
//! and the gateway itself looks, from time to time, whether the server answers again; no client pays for that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use plugin_api::BoxFuture;
use tokio::runtime::Handle;

/// The most who may wait for one server at the same time; more are refused.
const MOST_WAITING: usize = 4096;

/// The first pause before a server is looked at again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Finds out whether the server answers.
pub type Probe = Box<dyn Fn() -> BoxFuture<Result<(), String>> + Send + Sync>;

/// Stands before one server. Cloning shares it.
#[derive(Clone)]
pub struct Guard(Arc<State>);

struct State {
    /// The server's name, for the log.
    name: String,
    runtime: Handle,
    /// How many wait for an answer.
    waiting: AtomicUsize,
    /// Why the server counts as out of reach; `None` while it does not.
    away: Mutex<Option<Arc<str>>>,
    probe: Probe,
}

/// A place among those who wait.
struct Place(Arc<State>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard {
    /// For a server that counts as within reach. What it is asked, and `probe`, run on `runtime`.
    pub fn new(name: String, runtime: Handle, probe: Probe) -> Self {
        Self(Arc::new(State {
            name,
            runtime,
            waiting: AtomicUsize::new(0),
            away: Mutex::default(),
            probe,
        }))
    }

    /// Asks the server, if it is within reach; an error of `work` says that it is not, and so does silence for longer
    /// than `limit`. Any thread may wait for the answer.
    pub fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> BoxFuture<Result<T, String>> {
        let state = &self.0;
        if let Some(reason) = &*state.away.lock() {
            return refused(reason.to_string());
        }
        if state.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            state.waiting.fetch_sub(1, Ordering::Relaxed);
            return refused(format!("too many wait for {}", state.name));
        }
        let place = Place(state.clone());
        let task = state.runtime.spawn(async move {
            let done = tokio::time::timeout(limit, work).await;
            let done = done.unwrap_or_else(|_| Err("timeout".to_owned()));
            if let Err(reason) = &done {
                trip(&place.0, reason);
            }
            done
        });
        Box::pin(async move { task.await.unwrap_or_else(|error| Err(error.to_string())) })
    }
}

fn refused<T: Send + 'static>(reason: String) -> BoxFuture<Result<T, String>> {
    Box::pin(std::future::ready(Err(reason)))
}

/// Refuses everybody until the server answers again.
fn trip(state: &Arc<State>, reason: &str) {
    let mut away = state.away.lock();
    if away.is_some() {
        return;
    }
    tracing::warn!(reason, "{} is out of reach", state.name);
    *away = Some(format!("{} is out of reach: {reason}", state.name).into());
    let looking = look(Arc::downgrade(state));
    state.runtime.spawn(looking);
}

/// Looks after the server until it answers or nobody needs it any more.
async fn look(state: Weak<State>) {
    let mut pause = PAUSE.0;
    loop {
        tokio::time::sleep(pause).await;
        let Some(state) = state.upgrade() else { return };
        if (state.probe)().await.is_ok() {
            *state.away.lock() = None;
            tracing::info!("{} is within reach again", state.name);
            return;
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests;
