//! Memory for bodies that are held as a whole because a plugin looks at them: bounded over all workers of the node.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// What is held by all workers, and what had to be refused.
#[derive(Debug, Default)]
pub struct HeldBodies {
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl HeldBodies {
    /// How many bytes are spoken for.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many bodies were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The part of one body, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<HeldBodies>,
    most: u64,
    bytes: Cell<u64>,
}

impl Share {
    /// How much of a body is free of charge. Perf: most bodies are shorter, and touch nothing that workers share
    /// (bench case "POST, 16 KiB body").
    const FREE: u64 = 64 << 10;
    /// A longer body grows by so much at once.
    const STEP: u64 = 256 << 10;

    /// Nothing yet, of at most `most` bytes for all together; zero is no limit.
    pub fn new(of: &Arc<HeldBodies>, most: u64) -> Self {
        Self {
            of: of.clone(),
            most: if most == 0 { u64::MAX } else { most },
            bytes: Cell::new(0),
        }
    }

    /// Makes it large enough for a body of this length.
    ///
    /// # Errors
    /// When all together would be too much. What came of the body so far should be dropped.
    pub fn cover(&self, length: u64) -> Result<(), Error> {
        let has = self.bytes.get();
        if length <= has.max(Self::FREE) {
            return Ok(());
        }
        let wants = length.next_multiple_of(Self::STEP);
        let more = wants.saturating_sub(has);
        let all = self.of.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes.set(wants);
        if all.saturating_add(more) > self.most {
            self.of.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::TooMuchHeld);
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes.get() > 0 {
            self.of.bytes.fetch_sub(self.bytes.get(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_have_a_bound_and_small_ones_are_free() {
        let held = Arc::new(HeldBodies::default());
        let share = || Share::new(&held, 1 << 20);
        let small = share();
        assert!(small.cover(Share::FREE).is_ok());
        assert_eq!(held.bytes(), 0);
        let one = share();
        assert!(one.cover(700 << 10).is_ok());
        assert!(one.cover(600 << 10).is_ok());
        assert_eq!(held.bytes(), 768 << 10);
        let other = share();
        assert!(other.cover(256 << 10).is_ok());
        assert!(matches!(one.cover(769 << 10), Err(Error::TooMuchHeld)));
        assert!(matches!(other.cover(2 << 20), Err(Error::TooMuchHeld)));
        assert_eq!(held.refused(), 2);
        drop((one, other));
        assert_eq!(held.bytes(), 0);
        assert!(Share::new(&held, 0).cover(1 << 40).is_ok());
    }
}
