//! The cache: answers by key, in bounded memory, for as long as they may be kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Bounded;
use parking_lot::Mutex;
use plugin_api::{RequestHead, Services};
use uuid::Uuid;

use super::figures;
use super::key::Key;

/// How the nodes tell each other of purges; the same as Kong's.
pub(super) const CHANNEL: &str = "proxy-cache:purge";
/// What stands in a purge for all keys.
const EVERY_KEY: &str = "nil";
/// How many answers of one key are kept that differ by what the upstream's `Vary` names.
const MOST_VARIANTS: usize = 8;
/// What an entry takes beside its bytes.
const OVERHEAD: usize = 256;

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub status: u16,
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    pub body: Bytes,
    pub request_body: Bytes,
    /// The request headers that the answer depends on by its own account, and what they were.
    pub varied: Vec<(Box<str>, Vec<u8>)>,
    /// When it was stored.
    pub at: Instant,
    /// The same as seconds since 1970.
    pub timestamp: i64,
    /// How old it was then.
    pub age_before: Duration,
    /// How long it is fresh after that.
    pub fresh_for: Duration,
    /// How long it is kept after that.
    pub kept_for: Duration,
}

impl Stored {
    /// How old the answer is, its time in other caches included.
    pub fn age(&self, now: Instant) -> Duration {
        self.age_before + now.saturating_duration_since(self.at)
    }

    /// How long it is fresh from now on.
    pub fn freshness(&self, now: Instant) -> Duration {
        self.fresh_for
            .saturating_sub(now.saturating_duration_since(self.at))
    }

    /// How long ago it stopped to be fresh.
    pub fn staleness(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
            .saturating_sub(self.fresh_for)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(held, _)| held.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    fn is_kept(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) <= self.kept_for
    }

    /// Whether it answers a request that has come to its key.
    fn fits(&self, head: &RequestHead) -> bool {
        let mut varied = self.varied.iter();
        varied.all(|(name, value)| super::key::joined(head, name) == *value)
    }

    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.len() + 32);
        let varied = self.varied.iter();
        let varied = varied.map(|(name, value)| name.len() + value.len() + 40);
        OVERHEAD
            + self.body.len()
            + self.request_body.len()
            + headers.sum::<usize>()
            + varied.sum::<usize>()
    }
}

/// The answers of one key, the newest first.
#[derive(Debug, Clone)]
struct Entry(Arc<[Arc<Stored>]>);

/// When moka lets go of an entry by itself; what is served is decided here.
struct Lifetime;

impl Expiry<Key, Entry> for Lifetime {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        let kept = entry.0.iter().map(|stored| stored.kept_for);
        // Tests may turn the clock faster than time goes by, never slower.
        kept.max().map(|kept| kept + Duration::from_secs(1))
    }

    fn expire_after_update(
        &self,
        key: &Key,
        entry: &Entry,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

/// One cache, in the memory that a dictionary's name stands for.
pub(super) struct Cache {
    entries: Bounded<Key, Entry>,
    capacity: u64,
    /// The bytes of answers that are on their way into the cache.
    pending: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    /// How often something was purged: an answer that was asked for before a purge is not stored after it.
    purges: AtomicU64,
}

impl Cache {
    fn new(capacity: u64) -> Self {
        let entries = Bounded::builder()
            .max_capacity(capacity)
            .weigher(|_, entry: &Entry| {
                let sizes = entry.0.iter().map(|stored| stored.size());
                u32::try_from(sizes.sum::<usize>()).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetime)
            .build();
        Self {
            entries,
            capacity,
            pending: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            purges: AtomicU64::new(0),
        }
    }

    /// The answer to a request that has this key.
    pub fn find(&self, key: &Key, head: &RequestHead, now: Instant) -> Option<Arc<Stored>> {
        let entry = self.entries.get(key)?;
        let mut kept = entry.0.iter().filter(|stored| stored.is_kept(now));
        kept.find(|stored| stored.fits(head)).cloned()
    }

    /// The newest answer of a key.
    pub fn newest(&self, key: &Key, now: Instant) -> Option<Arc<Stored>> {
        let entry = self.entries.get(key)?;
        let newest = entry.0.iter().find(|stored| stored.is_kept(now));
        newest.cloned()
    }

    /// The state of purges, for [`Cache::store`].
    pub fn purges(&self) -> u64 {
        self.purges.load(Ordering::SeqCst)
    }

    /// Keeps an answer to a request that was let through when [`Cache::purges`] was `since`.
    pub fn store(&self, key: Key, stored: Stored, since: u64) {
        let entries = &self.entries;
        let stored = Arc::new(stored);
        entries.entry(key).and_compute_with(|held| {
            if self.purges() != since {
                return Op::Nop;
            }
            let held = held.map(|held| held.into_value().0);
            let others = held.iter().flat_map(|held| held.iter());
            let others =
                others.filter(|other| other.varied != stored.varied && other.is_kept(stored.at));
            let all = std::iter::once(stored.clone()).chain(others.cloned());
            Op::Put(Entry(all.take(MOST_VARIANTS).collect()))
        });
    }

    /// Forgets a key; tells whether there was something.
    pub fn purge(&self, key: &Key) -> bool {
        self.purges.fetch_add(1, Ordering::SeqCst);
        self.entries.remove(key).is_some()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.purges.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }

    /// Whether an answer of this length is not too long to be kept.
    pub fn takes(&self, bytes: u64) -> bool {
        bytes <= self.capacity / 4
    }

    /// Room for an answer that will be gathered; it grows with it.
    pub fn reserve(cache: &Arc<Self>) -> Reservation {
        Reservation {
            cache: cache.clone(),
            bytes: 0,
        }
    }

    /// Counts a lookup: the status that the client is told.
    pub fn count(&self, status: &str) {
        let counter = match status {
            "Hit" => &self.hits,
            "Refresh" => &self.refreshes,
            _ => &self.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The lookups so far, by their result.
    pub fn lookups(&self) -> [(&'static str, u64); 3] {
        [
            ("hit", &self.hits),
            ("miss", &self.misses),
            ("refresh", &self.refreshes),
        ]
        .map(|(result, count)| (result, count.load(Ordering::Relaxed)))
    }

    /// How many keys there are, about.
    pub fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    /// How many bytes the entries take, about.
    pub fn size(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

/// Bytes of an answer on its way into the cache.
pub(super) struct Reservation {
    cache: Arc<Cache>,
    bytes: u64,
}

impl Reservation {
    /// Takes more room; `false` if there is none.
    ///
    /// Invariant: an answer takes a quarter of the cache at most, and all that are gathered no more than the cache.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let total = self.bytes.saturating_add(bytes);
        if !self.cache.takes(total) {
            return false;
        }
        let before = self.cache.pending.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = total;
        before.saturating_add(bytes) <= self.cache.capacity
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.cache.pending.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All caches of the node, and which plugin records use them.
pub(super) struct Caches {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    caches: BTreeMap<String, Arc<Cache>>,
    users: HashMap<Uuid, (Arc<Cache>, Weak<()>)>,
}

/// That a handler uses a cache; it ends with the handler.
pub(super) struct Usage(#[expect(dead_code, reason = "it counts who holds it")] Arc<()>);

impl Caches {
    /// The caches of a node; from the first call on, other nodes can purge them.
    pub fn of(services: &Services) -> Arc<Self> {
        let caches = services.shared.get("proxy-cache", || Self {
            capacity: services.node.cache_memory,
            state: Mutex::default(),
        });
        figures::show(services, &caches);
        let purged = Arc::downgrade(&caches);
        services.cluster.hear(
            CHANNEL,
            Arc::new(move |told| {
                if let Some(caches) = purged.upgrade() {
                    caches.hear(told);
                }
            }),
        );
        caches
    }

    /// The cache for a plugin record.
    pub fn open(&self, dictionary: &str, plugin: Uuid) -> (Arc<Cache>, Usage) {
        let mut state = self.state.lock();
        let cache = match state.caches.get(dictionary) {
            Some(cache) => cache.clone(),
            None => {
                let cache = Arc::new(Cache::new(self.capacity));
                state.caches.insert(dictionary.to_owned(), cache.clone());
                cache
            }
        };
        let usage = Arc::new(());
        state.users.retain(|_, (_, usage)| usage.strong_count() > 0);
        let user = (cache.clone(), Arc::downgrade(&usage));
        state.users.insert(plugin, user);
        (cache, Usage(usage))
    }

    /// The plugin records that are in use, with their caches.
    pub fn users(&self) -> Vec<(Uuid, Arc<Cache>)> {
        let state = self.state.lock();
        let used = state
            .users
            .iter()
            .filter(|(_, (_, usage))| usage.strong_count() > 0);
        used.map(|(plugin, (cache, _))| (*plugin, cache.clone()))
            .collect()
    }

    /// All caches by their names.
    pub fn all(&self) -> Vec<(String, Arc<Cache>)> {
        let state = self.state.lock();
        let caches = state.caches.iter();
        caches
            .map(|(name, cache)| (name.clone(), cache.clone()))
            .collect()
    }

    /// What other nodes are told of a purge.
    pub fn purge_word(plugin: Uuid, key: Option<&str>) -> String {
        format!("{plugin}:{}", key.unwrap_or(EVERY_KEY))
    }

    /// Another node has purged something.
    fn hear(&self, told: &str) {
        let Some((plugin, key)) = told.split_once(':') else {
            return;
        };
        let plugin: Option<Uuid> = plugin.parse().ok();
        for (user, cache) in self.users() {
            if Some(user) != plugin {
                continue;
            }
            match Key::parse(key) {
                Some(key) => {
                    cache.purge(&key);
                }
                None if key == EVERY_KEY => cache.clear(),
                None => {}
            }
        }
    }
}
