//! State that outlives the handlers which use it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

type Slots = HashMap<(TypeId, Box<str>), Slot>;

/// A state, or the one who is making it.
type Slot = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

/// What plugins keep for as long as the node runs: counters, caches, connections, queues.
///
/// A handler is made anew whenever its record changes; what has to survive that is kept here, under its type and a name.
/// A type is private to the crate that declares it, so nobody meets another plugin's state. Cloning shares it.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Slots>>);

impl Shared {
    /// The state with this name, made by `make` for whoever asks first. Asked when a handler is made, not per request.
    ///
    /// `make` may ask for other states.
    pub fn get<T: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let slot = {
            let mut slots = self.0.lock();
            let slot = slots.entry((TypeId::of::<T>(), name.into()));
            slot.or_default().clone()
        };
        let state = slot.get_or_init(|| Arc::new(make())).clone();
        match state.downcast() {
            Ok(state) => state,
            Err(_) => unreachable!("the key holds the type"),
        }
    }

    /// Forgets all states of a type that only this table still holds.
    pub fn sweep<T: Send + Sync + 'static>(&self) {
        let of = TypeId::of::<T>();
        let is_held = |slot: &Slot| {
            let state = slot.get();
            Arc::strong_count(slot) > 1 || state.is_some_and(|state| Arc::strong_count(state) > 1)
        };
        self.0
            .lock()
            .retain(|(kind, _), slot| *kind != of || is_held(slot));
    }
}
