//! Entries on their way to a collector: a bounded queue between the workers and whoever receives logs.
//!
//! A worker only puts an entry in. A task on the control side takes batches out and sends them, as long as there are any;
//! it is started by the first entry of an empty queue. When the collector is slow or away, the queue fills up to its
//! limits; then the oldest entries are dropped and counted, and clients notice nothing.
//!
//! Handlers with equal parameters share a queue. It outlives them, so that no entry is lost when configuration changes;
//! at a graceful stop what waits is sent at once.

mod figures;
mod limits;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use plugin_api::{Background, BoxFuture, Services};
use stdx::Clock;

pub use figures::METRICS;
use figures::{Dropped, Figures};
pub use limits::{Limits, millis};

/// What [`Collector::send`] gives.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Whoever receives batches.
pub trait Collector: Send + Sync + 'static {
    /// Sends a batch, which is never empty. If that fails, the text says why, and the same batch comes again later.
    fn send<'a>(&'a self, batch: &'a [Bytes]) -> Sending<'a>;
}

/// A queue with its collector.
pub struct Queue {
    plugin: &'static str,
    limits: Limits,
    collector: Box<dyn Collector>,
    background: Arc<dyn Background>,
    clock: Arc<dyn Clock>,
    figures: Arc<Figures>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Bytes>,
    bytes: usize,
    /// How many tasks take entries out.
    drains: usize,
    /// Woken when there is enough for a batch.
    waiting: Option<Waker>,
    /// Whether the log was told that entries are dropped.
    drops: bool,
}

impl Queue {
    /// The queue of a plugin with these parameters; `collector` makes the collector if there is no such queue yet.
    pub fn of(
        services: &Services,
        plugin: &'static str,
        parameters: &str,
        limits: Limits,
        collector: impl FnOnce() -> Box<dyn Collector>,
    ) -> Arc<Self> {
        services.shared.sweep::<Self>();
        let figures = Figures::of(services, plugin);
        let name = format!("{plugin} {parameters}");
        services.shared.get(&name, || Self {
            plugin,
            limits,
            collector: collector(),
            background: services.background.clone(),
            clock: services.clock.clone(),
            figures,
            state: Mutex::default(),
        })
    }

    /// Puts an entry in. If there is no room the oldest ones go.
    pub fn push(self: &Arc<Self>, entry: Bytes) {
        let length = entry.len();
        self.figures.queued(1);
        if length > self.limits.bytes {
            self.figures.dropped(Dropped::TooLong, 1);
            tracing::warn!(
                plugin = self.plugin,
                length,
                "a log entry is too long for its queue"
            );
            return;
        }
        let mut dropped = 0;
        let mut state = self.state.lock();
        while state.entries.len() >= self.limits.entries || state.bytes + length > self.limits.bytes
        {
            let Some(oldest) = state.entries.pop_front() else {
                break;
            };
            state.bytes -= oldest.len();
            self.figures.left(1, oldest.len());
            dropped += 1;
        }
        state.entries.push_back(entry);
        state.bytes += length;
        self.figures.entered(length);
        let is_news = dropped > 0 && !std::mem::replace(&mut state.drops, true);
        let woken = match state.entries.len() >= self.limits.batch {
            true => state.waiting.take(),
            false => None,
        };
        let starts = state.drains < self.limits.at_once;
        state.drains += usize::from(starts);
        drop(state);
        if dropped > 0 {
            self.figures.dropped(Dropped::Full, dropped);
        }
        if is_news {
            tracing::error!(
                plugin = self.plugin,
                "a log queue is full: the oldest entries are dropped until its collector keeps up"
            );
        }
        if let Some(waker) = woken {
            waker.wake();
        }
        if starts {
            let drain = Drain::of(self.clone());
            self.background.spawn(Box::pin(drain.run()));
        }
    }
}

/// A task that empties a queue.
struct Drain {
    queue: Arc<Queue>,
    stopping: BoxFuture<()>,
    stops: bool,
    ended: bool,
}

impl Drain {
    fn of(queue: Arc<Queue>) -> Self {
        Self {
            stopping: queue.background.stopping(),
            queue,
            stops: false,
            ended: false,
        }
    }

    async fn run(mut self) {
        loop {
            self.coalesce().await;
            let Some(batch) = self.take() else {
                return;
            };
            self.deliver(&batch).await;
        }
    }

    /// Waits until there is a full batch, or for as long as a first entry may wait.
    async fn coalesce(&mut self) {
        let queue = self.queue.clone();
        let limits = &queue.limits;
        let is_settled =
            |state: &State| state.entries.is_empty() || state.entries.len() >= limits.batch;
        if limits.delay.is_zero() || self.stops || is_settled(&queue.state.lock()) {
            return;
        }
        let mut delay = queue.background.sleep(limits.delay);
        poll_fn(|cx| {
            if self.poll_stopping(cx) || delay.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut state = queue.state.lock();
            if is_settled(&state) {
                return Poll::Ready(());
            }
            state.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The next batch; `None` if there is nothing left, which is the end of this task.
    fn take(&mut self) -> Option<Vec<Bytes>> {
        let queue = &self.queue;
        let mut state = queue.state.lock();
        if state.entries.is_empty() {
            // An empty queue keeps no memory of how long it was.
            state.entries = VecDeque::new();
            state.drains -= 1;
            self.ended = true;
            return None;
        }
        let count = state.entries.len().min(queue.limits.batch);
        let batch: Vec<Bytes> = state.entries.drain(..count).collect();
        let bytes = batch.iter().map(Bytes::len).sum();
        state.bytes -= bytes;
        state.drops = false;
        queue.figures.left(count, bytes);
        Some(batch)
    }

    /// Sends a batch, if need be several times.
    async fn deliver(&mut self, batch: &[Bytes]) {
        let queue = self.queue.clone();
        let (limits, figures, plugin) = (&queue.limits, &queue.figures, queue.plugin);
        let started = queue.clock.monotonic();
        let mut delay = limits.first_retry;
        loop {
            let Err(reason) = queue.collector.send(batch).await else {
                figures.sent(batch.len());
                return;
            };
            figures.failed();
            let entries = batch.len();
            let passed = queue.clock.monotonic().saturating_duration_since(started);
            if limits.retry_for.is_none_or(|most| passed > most) {
                figures.dropped(Dropped::NotTaken, entries);
                tracing::error!(plugin, entries, "log entries are lost: {reason}");
                return;
            }
            tracing::warn!(
                plugin,
                entries,
                "log entries are sent again later: {reason}"
            );
            self.pause(delay.min(limits.longest_retry)).await;
            delay = delay.saturating_mul(2).min(limits.longest_retry);
        }
    }

    /// Waits; the beginning of a stop cuts it short.
    async fn pause(&mut self, time: Duration) {
        let mut pause = self.queue.background.sleep(time);
        let had_begun = self.stops;
        poll_fn(|cx| {
            let begins = self.poll_stopping(cx) && !had_begun;
            match begins || pause.as_mut().poll(cx).is_ready() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        self.stops = self.stops || self.stopping.as_mut().poll(cx).is_ready();
        self.stops
    }
}

impl Drop for Drain {
    /// A task that ends in the middle makes room for the next one.
    fn drop(&mut self) {
        if !self.ended {
            self.queue.state.lock().drains -= 1;
        }
    }
}

/// The entries of a batch as text, each with the end of its line.
pub fn lines(batch: &[Bytes]) -> Bytes {
    let length: usize = batch.iter().map(|entry| entry.len() + 1).sum();
    let mut text = BytesMut::with_capacity(length);
    for entry in batch {
        text.extend_from_slice(entry);
        text.extend_from_slice(b"\n");
    }
    text.freeze()
}

#[cfg(test)]
pub mod tests;
