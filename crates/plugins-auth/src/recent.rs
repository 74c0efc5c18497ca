//! What was made lately, by the text for which it was made.
//!
//! A text has a few places by its hash, as in the caches of processors: so many entries there are and no more, whoever
//! asks for whatever. The owner says up to when an entry holds by a stamp, which changes when entries no longer do.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;

/// How many places a text has.
const WAYS: usize = 4;
/// The longest text that has an entry.
const LONGEST: usize = 256;
/// An entry is made anew when it has been used so often.
const USES: u32 = 1024;
/// The longest text that stands in the memory of its entry.
const INLINE: usize = 40;

/// A bounded number of entries. Whoever finds a place taken displaces who is there.
///
/// Perf: a place is found by one hash and one short lock that nobody waits for. With more entries than the caches of the
/// processor hold, each piece of memory that is looked at counts: a set is one line, and most texts stand in their entry
/// (`cargo xtask bench --only plugins,credentials`, key-auth).
pub(crate) struct Recent<V> {
    /// Seeded at random, so that nobody knows which texts share their places.
    hasher: RandomState,
    sets: Box<[Set<V>]>,
}

#[repr(align(64))]
struct Set<V>(Mutex<Ways<V>>);

struct Ways<V> {
    /// A part of the hash of each entry's text.
    tags: [u32; WAYS],
    entries: [Option<Arc<Kept<V>>>; WAYS],
    /// Who is displaced next.
    next: u8,
}

const _: () = assert!(size_of::<Set<String>>() == 64);

/// What was made for a text.
pub(crate) struct Kept<V> {
    text: SmallVec<[u8; INLINE]>,
    stamp: u64,
    uses: AtomicU32,
    value: V,
}

impl<V> Kept<V> {
    /// Something made for a text from what was there when the stamp was read.
    pub fn new(text: &str, stamp: u64, value: V) -> Self {
        Self {
            text: SmallVec::from_slice(text.as_bytes()),
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
        let empty = || {
            Set(Mutex::new(Ways {
                tags: [0; WAYS],
                entries: [const { None }; WAYS],
                next: 0,
            }))
        };
        Self {
            hasher: RandomState::default(),
            sets: std::iter::repeat_with(empty).take(sets).collect(),
        }
    }

    /// What was made for a text while the stamp was the same as now. Now and then nothing, so that whoever makes it looks
    /// at what it is made of again, and those who keep that know it to be in use.
    pub fn get(&self, text: &str, stamp: u64) -> Option<Arc<Kept<V>>> {
        let (set, tag) = self.place(text.as_bytes())?;
        let ways = set.0.try_lock()?;
        let found = ways.position(tag, text.as_bytes())?;
        let found = ways.entries.get(found)?.as_ref()?;
        let holds = found.stamp == stamp && found.uses.fetch_add(1, Ordering::Relaxed) < USES;
        holds.then(|| found.clone())
    }

    /// Keeps what was made, in place of what there was for the text; tells how often what had to go was used.
    pub fn put(&self, kept: Arc<Kept<V>>) -> u32 {
        let Some((set, tag)) = self.place(&kept.text) else {
            return 0;
        };
        let ways = &mut *set.0.lock();
        // Places are taken in order, and an entry is displaced but never removed: behind a free place there is none.
        let own = ways.position(tag, &kept.text);
        let free = || ways.entries.iter().position(Option::is_none);
        let at = own.or_else(free).unwrap_or_else(|| {
            ways.next = (ways.next + 1) % WAYS as u8;
            ways.next.into()
        });
        let (Some(old), Some(entry)) = (ways.tags.get_mut(at), ways.entries.get_mut(at)) else {
            return 0;
        };
        *old = tag;
        let gone = entry.replace(kept);
        gone.map_or(0, |gone| gone.uses.load(Ordering::Relaxed).min(USES))
    }

    /// Where a text has its places, and what tells it apart there; `None` if it is too long to be kept.
    fn place(&self, text: &[u8]) -> Option<(&Set<V>, u32)> {
        if text.len() > LONGEST {
            return None;
        }
        let hash = self.hasher.hash_one(text);
        // There are a power of two of them, at least one.
        let set = self.sets.get(hash as usize & (self.sets.len() - 1))?;
        Some((set, (hash >> 32) as u32))
    }
}

impl<V> Ways<V> {
    /// Which entry is for a text.
    fn position(&self, tag: u32, text: &[u8]) -> Option<usize> {
        // Texts may be secrets: only who guesses the seeded hash of one gets as far as the comparison.
        let is_for =
            |entry: &Option<Arc<Kept<V>>>| entry.as_ref().is_some_and(|kept| *kept.text == *text);
        let mut ways = self.tags.iter().zip(&self.entries);
        ways.position(|(its, entry)| *its == tag && is_for(entry))
    }
}

#[cfg(test)]
mod tests;
