//! Whose passwords are right, as an LDAP server says and this node remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use moka::sync::Cache;
use parking_lot::Mutex;
use plugin_api::{BoxFuture, Failure, Services};
use stdx::Clock;

use super::claim::Claim;
use super::name::entry_of;
use super::server::{Server, Settings};

/// How many bytes of the memory for caches stand for one login that is remembered.
const BYTES: u64 = 512;
/// The most logins that are remembered.
const MOST: u64 = 1 << 16;

/// The server has no time.
const BUSY: u32 = 51;
/// The server is going away, or coming.
const UNAVAILABLE: u32 = 52;
/// There is no such entry, its name is no name, or the password is wrong.
const ORDINARY_REFUSALS: [u32; 3] = [32, 34, 49];

/// A claim, without the password: a hash under a key that only this process has.
type Key = [u8; digest::SHA256_OUTPUT_LEN];

type Flight = BoxFuture<Result<bool, Failure>>;

/// The users of a server below an entry.
pub(super) struct Directory {
    place: Place,
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    secret: hmac::Key,
    known: Cache<Key, Verdict>,
    flights: Mutex<Flights>,
}

/// Which users.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub base: String,
    pub attribute: String,
    /// How long logins are remembered, accepted or refused.
    pub remembered: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    is_right: bool,
    since: Instant,
}

/// The logins for which the server is being asked, each with a number of its own.
#[derive(Default)]
struct Flights {
    by_key: HashMap<Key, (u64, WeakShared<Flight>)>,
    last: u64,
}

impl Directory {
    /// The directory with these settings, which all handlers that have them share.
    pub fn of(services: &Services, settings: Settings, place: Place) -> Arc<Self> {
        services.shared.sweep::<Self>();
        let name = format!("{settings:?} {place:?}");
        services.shared.get(&name, || {
            let mut secret = [0; digest::SHA256_OUTPUT_LEN];
            services.random.fill(&mut secret);
            Self {
                server: Server::new(settings, services),
                clock: services.clock.clone(),
                secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
                known: Cache::new((services.node.cache_memory / BYTES).min(MOST)),
                flights: Mutex::default(),
                place,
            }
        })
    }

    /// Whether a password is right, if this is remembered.
    pub fn recall(&self, claim: &Claim) -> Option<bool> {
        self.recall_key(&self.key(claim))
    }

    /// Whether a password is right. Many who ask for the same at once ask the server once.
    ///
    /// # Errors
    /// When the server cannot be asked. This is not remembered.
    pub async fn is_right(self: &Arc<Self>, claim: Claim) -> Result<bool, Failure> {
        let key = self.key(&claim);
        match self.recall_key(&key) {
            Some(is_right) => Ok(is_right),
            None => self.flight(key, claim).await,
        }
    }

    fn recall_key(&self, key: &Key) -> Option<bool> {
        let verdict = self.known.get(key)?;
        let age = self
            .clock
            .monotonic()
            .saturating_duration_since(verdict.since);
        (age < self.place.remembered).then_some(verdict.is_right)
    }

    fn key(&self, claim: &Claim) -> Key {
        let mut sum = hmac::Context::with_key(&self.secret);
        // Its length tells where the name ends.
        sum.update(&claim.user.len().to_be_bytes());
        sum.update(claim.user.as_bytes());
        sum.update(&claim.password);
        let tag = sum.sign();
        let mut key = Key::default();
        key.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        key
    }

    /// The flight with this key, or a new one. Whoever waits for it drives it; without anybody it ends.
    fn flight(self: &Arc<Self>, key: Key, claim: Claim) -> Shared<Flight> {
        let mut flights = self.flights.lock();
        let under_way = flights.by_key.get(&key);
        if let Some(flight) = under_way.and_then(|(_, flight)| flight.upgrade()) {
            return flight;
        }
        flights.last += 1;
        let landing = Landing {
            directory: self.clone(),
            key,
            number: flights.last,
        };
        let number = landing.number;
        let flight: Flight = Box::pin(async move { landing.directory.ask(key, claim).await });
        let flight = flight.shared();
        if let Some(weak) = flight.downgrade() {
            flights.by_key.insert(key, (number, weak));
        }
        flight
    }

    async fn ask(&self, key: Key, claim: Claim) -> Result<bool, Failure> {
        let since = self.clock.monotonic();
        let entry = entry_of(&claim.user, &self.place.attribute, &self.place.base);
        let answer = self.server.bind(&entry, &claim.password).await?;
        if matches!(answer.code, BUSY | UNAVAILABLE) {
            let reason = format!("the LDAP server says {}: {:?}", answer.code, answer.text);
            return Err(Failure::new(reason));
        }
        let is_right = answer.is_success();
        if !is_right && !ORDINARY_REFUSALS.contains(&answer.code) {
            let (code, text) = (answer.code, &*answer.text);
            tracing::warn!(code, ?text, "an LDAP server refuses a login");
        }
        self.known.insert(key, Verdict { is_right, since });
        Ok(is_right)
    }
}

/// Ends a flight, whether it got somewhere or not.
struct Landing {
    directory: Arc<Directory>,
    key: Key,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.directory.flights.lock();
        let its = flights.by_key.get(&self.key);
        if its.is_some_and(|(number, _)| *number == self.number) {
            flights.by_key.remove(&self.key);
        }
    }
}
