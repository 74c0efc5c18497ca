//! What a run may use of the processor.

use std::cell::Cell;
use std::time::Duration;

/// What a run may execute, in instructions: some tenths of a second.
const INSTRUCTIONS: u32 = 20_000_000;
/// How long it may keep the processor. Instructions alone are no bound: one of them can copy as much as memory holds.
const TIME: Duration = Duration::from_secs(1);
/// How often both are looked at, in instructions.
pub const STEP: u32 = 1_000;

/// What the run of the moment may still use.
#[derive(Default)]
pub struct Budget {
    instructions: Cell<u32>,
    /// When its time is up, on the clock of the thread's processor time. Most runs are over before anybody asks.
    until: Cell<Option<Duration>>,
}

impl Budget {
    /// A run begins.
    pub fn renew(&self) {
        self.instructions.set(INSTRUCTIONS);
        self.until.set(None);
    }

    /// A run took a step, of instructions or of bytes that a pattern was held against; fails when it may take no other.
    pub fn spend(&self) -> Result<(), &'static str> {
        let left = self.instructions.get().checked_sub(STEP);
        let left = left.ok_or("the function ran for too many instructions")?;
        self.instructions.set(left);
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let now = Duration::try_from(now).unwrap_or_default();
        match self.until.get() {
            None => self.until.set(Some(now + TIME)),
            Some(until) if now > until => return Err("the function ran for too long"),
            Some(_) => {}
        }
        Ok(())
    }
}
