//! Entries on their way to a collector: a bounded queue between the workers and whoever receives logs.
//!
//! A worker only copies an entry behind the last one. A task on the control side takes batches out and sends them, as
//! long as there are any; it is started by the first entry of an empty queue. When the collector is slow or away, the
//! queue fills up to its limits; then the oldest entries are dropped and counted, and clients notice nothing. What a
//! collector finds too large is sent in halves, and one that refuses single entries as well is asked less and less often.
//!
//! Handlers with equal parameters share a queue. It outlives them, so that no entry is lost when configuration changes;
//! at a graceful stop what waits is sent at once.

mod batch;
mod figures;
mod limits;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use plugin_api::{Background, BoxFuture, Services};
use stdx::Clock;

use batch::Growing;
pub use batch::{Batch, Framing};
pub use figures::METRICS;
use figures::{Dropped, Figures};
pub use limits::{Limits, millis};

/// What [`Collector::send`] gives.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Whoever receives batches.
pub trait Collector: Send + Sync + 'static {
    /// How batches are written.
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    /// Sends a batch. If that fails the same batch comes again later; one that is too large comes in halves.
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a>;
}

/// A batch was not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    /// Whether less would have been taken.
    pub is_too_large: bool,
}

/// A refusal that has nothing to do with how much was sent.
impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self {
            reason,
            is_too_large: false,
        }
    }
}

/// A queue with its collector.
pub struct Queue {
    plugin: &'static str,
    limits: Limits,
    collector: Box<dyn Collector>,
    framing: Framing,
    background: Arc<dyn Background>,
    clock: Arc<dyn Clock>,
    figures: Arc<Figures>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Growing>,
    /// How many entries wait, and how many bytes they have.
    entries: usize,
    bytes: usize,
    /// The last batch that was sent, whose memory is for the next one.
    spare: Option<Batch>,
    /// How many tasks take entries out.
    drains: usize,
    /// Woken when there is enough for a batch.
    waiting: Option<Waker>,
    /// Whether the log was told that entries are dropped.
    drops: bool,
    /// Whether the log was told that the collector refuses single entries.
    refuses: bool,
}

impl State {
    fn push(&mut self, entry: &[u8], framing: Framing, most: usize) {
        self.entries += 1;
        self.bytes += entry.len();
        if let Some(last) = self.batches.back_mut().filter(|last| last.len() < most) {
            return last.push(entry);
        }
        let spare = self.spare.take().and_then(Batch::into_memory);
        let memory = spare.unwrap_or_default();
        let mut batch = Growing::new(framing, memory);
        batch.push(entry);
        self.batches.push_back(batch);
    }

    /// Forgets the oldest entry, and gives its length.
    fn drop_oldest(&mut self) -> Option<usize> {
        let first = self.batches.front_mut()?;
        let length = first.drop_oldest()?;
        if first.len() == 0 {
            self.batches.pop_front();
        }
        self.entries -= 1;
        self.bytes -= length;
        Some(length)
    }
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
        services.shared.get(&name, || {
            let collector = collector();
            Self {
                plugin,
                limits,
                framing: collector.framing(),
                collector,
                background: services.background.clone(),
                clock: services.clock.clone(),
                figures,
                state: Mutex::default(),
            }
        })
    }

    /// Puts an entry in. If there is no room the oldest ones go.
    pub fn push(self: &Arc<Self>, entry: &[u8]) {
        let length = entry.len();
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
        while state.entries >= self.limits.entries || state.bytes + length > self.limits.bytes {
            let Some(oldest) = state.drop_oldest() else {
                break;
            };
            self.figures.left(1, oldest);
            dropped += 1;
        }
        state.push(entry, self.framing, self.limits.batch);
        self.figures.entered(length);
        let is_news = dropped > 0 && !std::mem::replace(&mut state.drops, true);
        let woken = match state.entries >= self.limits.batch {
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
    /// How long to wait after the next entry that is too large by itself: not at all after the first, then for longer each
    /// time, until something is taken.
    after_refusal: Duration,
}

impl Drain {
    fn of(queue: Arc<Queue>) -> Self {
        Self {
            stopping: queue.background.stopping(),
            after_refusal: Duration::ZERO,
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
            self.deliver(batch).await;
        }
    }

    /// Waits until there is a full batch, or for as long as a first entry may wait.
    async fn coalesce(&mut self) {
        let queue = self.queue.clone();
        let limits = &queue.limits;
        let is_settled = |state: &State| state.entries == 0 || state.entries >= limits.batch;
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
    fn take(&mut self) -> Option<Batch> {
        let queue = &self.queue;
        let mut state = queue.state.lock();
        let Some(batch) = state.batches.pop_front() else {
            // An empty queue keeps no memory of how long it was.
            state.batches = VecDeque::new();
            state.spare = None;
            state.drains -= 1;
            self.ended = true;
            return None;
        };
        state.entries -= batch.len();
        let batch = batch.finish();
        state.bytes -= batch.bytes();
        state.drops = false;
        queue.figures.left(batch.len(), batch.bytes());
        Some(batch)
    }

    /// Sends a batch, in parts if it is too large for the collector.
    async fn deliver(&mut self, batch: Batch) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if self.send(&part).await {
                self.after_refusal = Duration::ZERO;
                // Whoever sent it may hold it a little longer, as long as the next batch is not begun.
                self.queue.state.lock().spare = Some(part).filter(Batch::is_modest);
            } else if let Some([first, second]) = part.halves() {
                parts.extend([second, first]);
            } else {
                self.give_up_refused(&part);
                self.pause_after_refusal().await;
            }
        }
    }

    /// Sends a batch, if need be several times, until it is taken or lost; false if it is too large.
    async fn send(&mut self, batch: &Batch) -> bool {
        let queue = self.queue.clone();
        let (limits, figures, plugin) = (&queue.limits, &queue.figures, queue.plugin);
        let started = queue.clock.monotonic();
        let mut delay = limits.first_retry;
        loop {
            let Err(refusal) = queue.collector.send(batch).await else {
                figures.sent(batch.len());
                return true;
            };
            figures.failed();
            if refusal.is_too_large {
                return false;
            }
            let (entries, reason) = (batch.len(), refusal.reason);
            let passed = queue.clock.monotonic().saturating_duration_since(started);
            if limits.retry_for.is_none_or(|most| passed > most) {
                figures.dropped(Dropped::NotTaken, entries);
                tracing::error!(plugin, entries, "log entries are lost: {reason}");
                return true;
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

    /// Counts an entry that is too large for the collector all by itself.
    fn give_up_refused(&self, entry: &Batch) {
        let queue = &self.queue;
        queue.figures.dropped(Dropped::Refused, entry.len());
        let was_told = std::mem::replace(&mut queue.state.lock().refuses, true);
        if !was_told {
            tracing::error!(
                plugin = queue.plugin,
                length = entry.bytes(),
                "a log entry is too large for its collector and lost; more of them are only counted"
            );
        }
    }

    /// Leaves a collector that takes nothing alone for a while; a stop waits for nobody.
    async fn pause_after_refusal(&mut self) {
        let (first, longest) = (
            self.queue.limits.first_retry,
            self.queue.limits.longest_retry,
        );
        let delay = self.after_refusal;
        self.after_refusal = delay.saturating_mul(2).max(first).min(longest);
        if !delay.is_zero() && !self.stops {
            self.pause(delay).await;
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

#[cfg(test)]
pub mod tests;
