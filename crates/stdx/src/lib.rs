//! Small things that every crate may use: time as an argument, secrets that do not print, seeded
//! randomness, files read with a bound, and the words for counters.

mod clock;
pub mod counting;
pub mod files;
mod moment;
mod random;
mod secret;

pub use clock::{Clock, ManualClock, SystemClock};
pub use moment::Moment;
pub use random::SeededRandom;
pub use secret::Secret;
