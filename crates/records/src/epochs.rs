//! The epochs of all entities.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use plugin_api::Epoch;

/// An epoch for each entity. Cloning shares them, so that they can be there before the store is.
#[derive(Debug, Clone, Default)]
pub struct Epochs(Arc<Mutex<HashMap<Box<str>, Epoch>>>);

impl Epochs {
    /// That of one entity.
    pub fn of(&self, entity: &str) -> Epoch {
        let mut epochs = self.0.lock();
        match epochs.get(entity) {
            Some(epoch) => epoch.clone(),
            None => epochs.entry(entity.into()).or_default().clone(),
        }
    }

    /// Records of any entity may have changed.
    pub fn advance_all(&self) {
        for epoch in self.0.lock().values() {
            epoch.advance();
        }
    }
}
