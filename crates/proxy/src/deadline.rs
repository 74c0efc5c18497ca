//! Deadlines without a timer a read: every connection has a slot in one table, and one sweep looks at all slots.
//!
//! A slot is armed by storing a number, which costs nothing; the sweep runs every [`TICK`] while anything is armed and
//! wakes the tasks whose time has come.
//! A deadline is therefore late by up to two ticks, and never early.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use stdx::Clock;
use tokio::sync::Notify;

/// How often the sweep looks.
pub const TICK: Duration = Duration::from_millis(50);

const NEVER: u64 = u64::MAX;

/// The time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// The deadlines of one worker.
#[derive(Debug)]
pub struct Deadlines {
    clock: Arc<dyn Clock>,
    start: Instant,
    /// Milliseconds from the start to the last look at the clock.
    recent: Cell<u64>,
    /// Whether sweeps look at the clock every tick; if not, `recent` may be old.
    ticking: Cell<bool>,
    slots: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    armed: Notify,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    waker: Option<Waker>,
}

impl Deadlines {
    /// An empty table on `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Rc<Self> {
        let start = clock.monotonic();
        Rc::new(Self {
            clock,
            start,
            recent: Cell::new(0),
            ticking: Cell::new(false),
            slots: RefCell::default(),
            free: RefCell::default(),
            armed: Notify::new(),
        })
    }

    /// A slot for one task.
    pub fn slot(self: &Rc<Self>) -> Slot {
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut slots = self.slots.borrow_mut();
            slots.push(Entry {
                at: NEVER,
                waker: None,
            });
            slots.len() - 1
        });
        Slot {
            table: self.clone(),
            index,
            until: Cell::new(NEVER),
        }
    }

    /// Milliseconds since the table was made.
    pub fn now(&self) -> u64 {
        millis(self.clock.monotonic().saturating_duration_since(self.start))
    }

    /// Wakes every task whose deadline passed; says whether any is still armed.
    pub fn sweep(&self) -> bool {
        let now = self.now();
        self.recent.set(now);
        let mut any = false;
        // Waking only schedules a task, so nothing touches the table while it is borrowed.
        for entry in self.slots.borrow_mut().iter_mut() {
            if entry.at <= now {
                entry.at = NEVER;
                if let Some(waker) = &entry.waker {
                    waker.wake_by_ref();
                }
            }
            any |= entry.at != NEVER;
        }
        self.ticking.set(any);
        any
    }

    /// The time of the last sweep, at most one tick ago. Perf: asking for the real time costs as much as a header does.
    pub fn recently(&self) -> Instant {
        if !self.ticking.get() {
            return self.clock.monotonic();
        }
        self.start + Duration::from_millis(self.recent.get())
    }

    /// Wakes every task that waits, so that it looks around: the worker is to end.
    pub fn wake_all(&self) {
        for entry in self.slots.borrow().iter() {
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Waits until a deadline is armed.
    pub async fn armed(&self) {
        self.armed.notified().await;
    }
}

/// The deadline of one task.
#[derive(Debug)]
pub struct Slot {
    table: Rc<Deadlines>,
    index: usize,
    until: Cell<u64>,
}

impl Slot {
    /// Runs `work` for at most `limit`; a limit of zero means none.
    pub fn within<T>(
        &self,
        limit: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> impl Future<Output = Result<T, Elapsed>> {
        self.poll_within(limit, move |cx| work.as_mut().poll(cx))
    }

    /// As [`Slot::within`], for work that is a function to be polled.
    ///
    /// Perf: not an `async fn`, which would hold its arguments twice.
    pub fn poll_within<T>(
        &self,
        limit: Duration,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> impl Future<Output = Result<T, Elapsed>> {
        let mut armed = false;
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(done) = work(cx) {
                return Poll::Ready(Ok(done));
            }
            if !armed {
                armed = true;
                self.arm(limit);
            } else if self.until.get() != NEVER && self.table.recent.get() >= self.until.get() {
                return Poll::Ready(Err(Elapsed));
            }
            self.store(cx);
            Poll::Pending
        })
    }

    fn arm(&self, limit: Duration) {
        if limit.is_zero() {
            return self.until.set(NEVER);
        }
        let table = &self.table;
        // Invariant: a deadline is never early, so that a time that may be a tick old is taken for a tick later.
        let from = if table.ticking.replace(true) {
            table.recent.get().saturating_add(millis(TICK))
        } else {
            // Perf: whoever sweeps need not be told while it ticks.
            table.armed.notify_one();
            table.recent.set(table.now());
            table.recent.get()
        };
        self.until
            .set(from.saturating_add(millis(limit)).min(NEVER - 1));
    }

    fn store(&self, cx: &Context<'_>) {
        if let Some(entry) = self.table.slots.borrow_mut().get_mut(self.index) {
            entry.at = self.until.get();
            match &mut entry.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => entry.waker = Some(cx.waker().clone()),
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(entry) = self.table.slots.borrow_mut().get_mut(self.index) {
            *entry = Entry {
                at: NEVER,
                waker: None,
            };
        }
        self.table.free.borrow_mut().push(self.index);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use stdx::ManualClock;

    use std::pin::pin;

    use super::*;

    fn table() -> (Arc<ManualClock>, Rc<Deadlines>) {
        let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
        (clock.clone(), Deadlines::new(clock))
    }

    #[tokio::test]
    async fn work_that_never_ends_is_woken_at_its_deadline() {
        let (clock, deadlines) = table();
        let slot = deadlines.slot();
        let work = slot.poll_within(Duration::from_millis(100), |_| Poll::<()>::Pending);
        let mut work = pin!(work);
        assert!(futures_poll(work.as_mut()).is_pending());
        clock.advance(Duration::from_millis(99));
        assert!(deadlines.sweep());
        assert!(futures_poll(work.as_mut()).is_pending());
        clock.advance(Duration::from_millis(1));
        deadlines.sweep();
        assert_eq!(work.await, Err(Elapsed));
    }

    #[tokio::test]
    async fn finished_work_has_no_deadline_and_zero_means_no_limit() {
        let (clock, deadlines) = table();
        let slot = deadlines.slot();
        assert_eq!(
            slot.within(Duration::from_millis(1), pin!(async { 7 }))
                .await,
            Ok(7)
        );
        let mut endless = pin!(slot.poll_within(Duration::ZERO, |_| Poll::<()>::Pending));
        assert!(futures_poll(endless.as_mut()).is_pending());
        clock.advance(Duration::from_secs(100));
        assert!(!deadlines.sweep());
        assert!(futures_poll(endless.as_mut()).is_pending());
    }

    #[test]
    fn a_slot_is_used_again() {
        let (_, deadlines) = table();
        let first = deadlines.slot().index;
        assert_eq!(deadlines.slot().index, first);
    }

    fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }
}
