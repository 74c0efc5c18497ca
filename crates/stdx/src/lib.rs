//! Small things that every crate may use: time as an argument, secrets that do not print, seeded
//! randomness, and the words for counters.

mod clock;
pub mod counting;
mod moment;
mod random;
mod secret;

pub use clock::{Clock, ManualClock, SystemClock};
pub use moment::Moment;
pub use random::SeededRandom;
pub use secret::Secret;
