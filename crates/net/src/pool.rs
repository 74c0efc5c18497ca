//! Keep-alive pools of one worker thread.
//!
//! A connection in a pool has no task and no timer: it is looked at when it is wanted, and by a coarse sweep.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::Stream;
use crate::connect::Target;

#[cfg(test)]
mod tests;

/// Limits of a pool; the names are those of Kong's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// `upstream_keepalive_pool_size`: idle connections kept for one target; 0 keeps none.
    pub size: usize,
    /// `upstream_keepalive_max_requests`: requests before a connection is closed; `None` has no limit.
    pub max_requests: Option<u64>,
    /// `upstream_keepalive_idle_timeout`: idle time before a connection is closed; `None` has no limit.
    pub idle_timeout: Option<Duration>,
}

/// What can be kept: something that knows whether it is still good.
pub trait Reusable {
    /// Whether the connection is open and nothing unexpected has arrived; called right before it is used again.
    fn is_reusable(&mut self) -> bool;
}

impl Reusable for Stream {
    fn is_reusable(&mut self) -> bool {
        self.is_idle_and_open()
    }
}

/// A connection out of the pool, or on its way into it.
#[derive(Debug)]
pub struct Pooled<T> {
    /// The connection and what belongs to it. A read buffer beside a stream has to be empty when it goes into the pool.
    pub connection: T,
    /// Requests that it has carried.
    pub requests: u64,
}

impl<T> Pooled<T> {
    /// A new connection, which has carried nothing.
    pub fn new(connection: T) -> Self {
        Self {
            connection,
            requests: 0,
        }
    }
}

/// The idle connections of one worker, newest first. Not shared between threads: methods take `&self` and borrow inside
/// for their own duration only, so that the pool can sit in an `Rc`.
#[derive(Debug)]
pub struct Pool<T> {
    settings: Cell<PoolSettings>,
    /// Perf: no client chooses a target, so that the hash need not withstand one.
    idle: RefCell<HashMap<Target, VecDeque<Idle<T>>, RandomState>>,
}

#[derive(Debug)]
struct Idle<T> {
    pooled: Pooled<T>,
    since: Instant,
}

impl<T: Reusable> Pool<T> {
    /// An empty pool.
    pub fn new(settings: PoolSettings) -> Self {
        Self {
            settings: Cell::new(settings),
            idle: RefCell::default(),
        }
    }

    /// Takes over changed limits; what is kept stays until the next sweep.
    pub fn set_settings(&self, settings: PoolSettings) {
        self.settings.set(settings);
    }

    /// The most recently used connection to the target that is still good; dead ones on the way are dropped.
    pub fn take(&self, target: &Target, now: Instant) -> Option<Pooled<T>> {
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(target)?;
        while let Some(mut newest) = waiting.pop_back() {
            if self.is_young(newest.since, now) && newest.pooled.connection.is_reusable() {
                return Some(newest.pooled);
            }
        }
        idle.remove(target);
        None
    }

    /// Keeps a connection after a request that it carried to its end. Counts the request; drops the connection if it has
    /// served long enough, and the oldest one if the target's pool is full.
    pub fn put(&self, target: &Target, mut connection: Pooled<T>, now: Instant) {
        let PoolSettings {
            size, max_requests, ..
        } = self.settings.get();
        connection.requests += 1;
        if size == 0 || max_requests.is_some_and(|most| connection.requests >= most) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let entry = Idle {
            pooled: connection,
            since: now,
        };
        match idle.get_mut(target) {
            Some(waiting) => {
                while waiting.len() >= size {
                    waiting.pop_front();
                }
                waiting.push_back(entry);
            }
            None => {
                idle.insert(target.clone(), VecDeque::from([entry]));
            }
        }
    }

    /// Drops what has been idle for too long, and what the peer has closed. Call it every second or so.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, waiting| {
            waiting.retain_mut(|idle| {
                self.is_young(idle.since, now) && idle.pooled.connection.is_reusable()
            });
            !waiting.is_empty()
        });
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// How many connections are kept.
    pub fn len(&self) -> usize {
        self.idle.borrow().values().map(VecDeque::len).sum()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_young(&self, since: Instant, now: Instant) -> bool {
        self.settings
            .get()
            .idle_timeout
            .is_none_or(|limit| now.saturating_duration_since(since) < limit)
    }
}
