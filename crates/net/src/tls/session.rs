//! Sessions that clients may resume: tickets, or a cache where tickets are off.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::TicketRotator;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use crate::Error;

/// nginx: "one megabyte can store about 4000 sessions".
const BYTES_A_SESSION: u64 = 1024 * 1024 / 4000;

/// Tickets whose keys are made at random and replaced as they age, so that a ticket is good for no longer than
/// `timeout`. The library's own keys live for at most twelve hours, and so does a ticket, whatever the setting says.
pub(super) fn tickets(timeout: Duration) -> Result<Arc<dyn ProducesTickets>, Error> {
    // The rotator accepts what the current and the previous keys made, which is twice its period.
    let period = u32::try_from(timeout.as_secs() / 2)
        .unwrap_or(u32::MAX)
        .max(1);
    let make = || {
        let keys = Ticketer::new().map_err(|_| rustls::crypto::GetRandomFailed)?;
        Ok(Box::new(Keys(keys)) as Box<dyn ProducesTickets>)
    };
    let rotator =
        TicketRotator::new(period, make).map_err(|error| Error::TlsSetting(error.to_string()))?;
    Ok(Arc::new(rotator))
}

/// One generation of ticket keys.
#[derive(Debug)]
struct Keys(Arc<dyn ProducesTickets>);

impl ProducesTickets for Keys {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

/// A bounded cache whose entries expire.
pub(super) struct SessionCache {
    inner: Arc<ServerSessionMemoryCache>,
    timeout: Duration,
    started: Instant,
}

impl SessionCache {
    /// A cache of about `bytes`.
    pub(super) fn new(bytes: u64, timeout: Duration) -> Self {
        let sessions = usize::try_from(bytes / BYTES_A_SESSION)
            .ok()
            .and_then(NonZeroUsize::new);
        let inner = ServerSessionMemoryCache::new(sessions.map_or(1, NonZeroUsize::get));
        Self {
            inner,
            timeout,
            started: Instant::now(),
        }
    }

    fn age(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Takes the time of storage off the end of an entry, if it is young enough.
    fn fresh(&self, mut entry: Vec<u8>) -> Option<Vec<u8>> {
        let split = entry.len().checked_sub(size_of::<u64>())?;
        let stored = u64::from_be_bytes(entry.get(split..)?.try_into().ok()?);
        entry.truncate(split);
        (self.age().saturating_sub(stored) < self.timeout.as_secs()).then_some(entry)
    }
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCache")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl StoresServerSessions for SessionCache {
    fn put(&self, key: Vec<u8>, mut value: Vec<u8>) -> bool {
        value.extend_from_slice(&self.age().to_be_bytes());
        self.inner.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        true
    }
}
