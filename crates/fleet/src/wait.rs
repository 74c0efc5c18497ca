//! Waiting for a condition.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Long enough for a loaded machine; only what fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at: between two looks the processor belongs to those who are waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until something holds, and gives up after [`PATIENCE`].
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    try_until(what, || Ok(holds()))
}

/// As [`until`]; an error ends the wait.
pub(crate) fn try_until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            return Err(Error::Never(what.to_owned()));
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}
