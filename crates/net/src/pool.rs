//! Keep-alive pools of one worker thread.

use std::time::{Duration, Instant};

use crate::connect::Target;

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

/// A connection out of the pool, or on its way into it.
#[derive(Debug)]
pub struct Pooled<T> {
    /// The connection and what belongs to it.
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
pub struct Pool<T>(std::marker::PhantomData<T>);

impl<T: Reusable> Pool<T> {
    /// An empty pool.
    pub fn new(settings: PoolSettings) -> Self {
        let _ = settings;
        unimplemented!()
    }

    /// Takes over changed limits; what is kept stays until the next sweep.
    pub fn set_settings(&self, settings: PoolSettings) {
        let _ = settings;
        unimplemented!()
    }

    /// The most recently used connection to the target that is still good; dead ones on the way are dropped.
    pub fn take(&self, target: &Target, now: Instant) -> Option<Pooled<T>> {
        let _ = (target, now);
        unimplemented!()
    }

    /// Keeps a connection after a request that it carried to its end. Counts the request; drops the connection if it has
    /// served long enough, and the oldest one if the target's pool is full.
    pub fn put(&self, target: &Target, connection: Pooled<T>, now: Instant) {
        let _ = (target, connection, now);
        unimplemented!()
    }

    /// Drops what has been idle for too long, and what the peer has closed. Call it every second or so.
    pub fn sweep(&self, now: Instant) {
        let _ = now;
        unimplemented!()
    }

    /// Drops everything.
    pub fn clear(&self) {
        unimplemented!()
    }

    /// How many connections are kept.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
