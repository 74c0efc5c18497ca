//! What was made lately, by the text for which it was made.
//!
//! A text has a few places by its hash, as in the caches of processors: so many entries there are and no more, whoever
//! asks for whatever. The owner says up to when an entry holds by a stamp, which changes when entries no longer do.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// How many places a text has.
const WAYS: usize = 4;
/// The longest text that has an entry.
const LONGEST: usize = 256;
/// An entry is made anew when it has been used so often.
const USES: u32 = 64;

/// A bounded number of entries. Whoever finds a place taken displaces who is there.
///
/// Perf: a place is found by one hash and one short lock that nobody waits for (`cargo xtask bench --only plugins`,
/// key-auth).
pub(crate) struct Recent<V> {
    /// Seeded at random, so that nobody knows which texts share their places.
    hasher: RandomState,
    sets: Box<[Mutex<Set<V>>]>,
}

struct Set<V> {
    entries: [Option<Entry<V>>; WAYS],
    /// Who is displaced next.
    next: usize,
}

struct Entry<V> {
    hash: u64,
    kept: Arc<Kept<V>>,
}

/// What was made for a text.
pub(crate) struct Kept<V> {
    text: Box<str>,
    stamp: u64,
    uses: AtomicU32,
    value: V,
}

impl<V> Kept<V> {
    /// Something made for a text from what was there when the stamp was read.
    pub fn new(text: &str, stamp: u64, value: V) -> Self {
        Self {
            text: text.into(),
            stamp,
            uses: AtomicU32::new(0),
            value,
        }
    }
}

impl<V> std::ops::Deref for Kept<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V> Recent<V> {
    /// Room for about so many entries.
    pub fn new(entries: usize) -> Self {
        let sets = (entries / WAYS).max(1).next_power_of_two();
        let empty = || Set {
            entries: [const { None }; WAYS],
            next: 0,
        };
        Self {
            hasher: RandomState::default(),
            sets: std::iter::repeat_with(|| Mutex::new(empty()))
                .take(sets)
                .collect(),
        }
    }

    /// What was made for a text while the stamp was the same as now. Now and then nothing, so that whoever makes it looks
    /// at what it is made of again, and those who keep that know it to be in use.
    pub fn get(&self, text: &str, stamp: u64) -> Option<Arc<Kept<V>>> {
        let hash = self.hash(text)?;
        let set = self.set(hash).try_lock()?;
        let mut entries = set.entries.iter().flatten();
        // Texts may be secrets: only who guesses the seeded hash of one gets as far as the comparison.
        let found = entries.find(|entry| entry.hash == hash && *entry.kept.text == *text)?;
        let holds =
            found.kept.stamp == stamp && found.kept.uses.fetch_add(1, Ordering::Relaxed) < USES;
        holds.then(|| found.kept.clone())
    }

    /// Keeps what was made, in place of what there was for the text; tells how often what had to go was used.
    pub fn put(&self, kept: Arc<Kept<V>>) -> u32 {
        let Some(hash) = self.hash(&kept.text) else {
            return 0;
        };
        let set = &mut *self.set(hash).lock();
        // Places are taken in order, and an entry is displaced but never removed: behind a free place there is none.
        let is_free = |entry: &Option<Entry<V>>| {
            let own = |entry: &Entry<V>| entry.hash == hash && entry.kept.text == kept.text;
            entry.as_ref().is_none_or(own)
        };
        let at = set.entries.iter().position(is_free).unwrap_or_else(|| {
            set.next = (set.next + 1) % WAYS;
            set.next
        });
        let place = set.entries.get_mut(at);
        let gone = place.and_then(|place| place.replace(Entry { hash, kept }));
        gone.map_or(0, |gone| gone.kept.uses.load(Ordering::Relaxed).min(USES))
    }

    /// None for a text that is too long to be kept.
    fn hash(&self, text: &str) -> Option<u64> {
        (text.len() <= LONGEST).then(|| self.hasher.hash_one(text))
    }

    fn set(&self, hash: u64) -> &Mutex<Set<V>> {
        // There are a power of two of them, at least one.
        &self.sets[hash as usize & (self.sets.len() - 1)]
    }
}

#[cfg(test)]
mod tests;
