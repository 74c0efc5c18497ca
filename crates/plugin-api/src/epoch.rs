//! Whether records have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the changes of an entity's records, as far as this node knows of them. Cloning shares it.
///
/// Whoever keeps what was made of records reads the epoch before the records are looked up, and again before what was
/// made is used: as long as both are the same, no record of the entity has changed since.
#[derive(Debug, Clone, Default)]
pub struct Epoch(Arc<AtomicU64>);

impl Epoch {
    /// The epoch as it is now. It only ever grows.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A record has changed.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
