//! What plugins that limit have in common: windows of the calendar, and the places where counters are kept.
//!
//! - [`local`]: on the node, in bounded memory.
//! - [`redis`]: in Redis, under Kong's keys, so that nodes of both kinds share limits.
//! - [`synced`]: in Redis as well, but counted on the node and sent there every now and then.
//!
//! The database is the fourth place; [`plugin_api::Counters`] has it.

mod figures;
pub mod local;
mod number;
mod outage;
mod period;
pub mod redis;
mod subject;
pub mod synced;

pub use figures::{Fate, Figures, METRICS, show_age};
pub use number::text_of;
pub use outage::Outage;
pub use period::{Limit, PERIODS, Period, PeriodLimits};
pub use subject::{Identifier, Scope, windows};

use stdx::counting::Taken;

/// What the windows of some limits hold, by the limit's place.
pub type Used = [f64; PERIODS];

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether there was room in all windows; then the request is counted in all of them, and otherwise in none.
    pub granted: bool,
    /// What the windows held before.
    pub used: Used,
}

impl From<Taken> for Verdict {
    fn from(taken: Taken) -> Self {
        Self {
            granted: taken.granted,
            used: used(taken.used),
        }
    }
}

/// The first numbers by their place.
pub fn used(numbers: impl IntoIterator<Item = f64>) -> Used {
    let mut used = Used::default();
    for (place, number) in used.iter_mut().zip(numbers) {
        *place = number;
    }
    used
}
