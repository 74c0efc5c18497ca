//! What was tried to reach an upstream, for those who log it.

use std::net::SocketAddr;
use std::time::Instant;

use plugin_api::{Phase, Try, TryFailure};

use crate::error::Error;
use crate::exchange::Exchange;

impl Exchange {
    /// The time now, if somebody may want to know how long it takes to choose an address. Perf: if no handler logs, nobody
    /// does, and no clock is read.
    pub fn begin_choice(&self) -> Option<Instant> {
        let logs = self.has_phase(Phase::Log);
        logs.then(|| self.worker.clock.monotonic())
    }

    /// Notes an attempt at an address, with the time at which its choice began.
    pub fn note_try(&mut self, address: SocketAddr, began: Option<Instant>) {
        let Some(began) = began else {
            return;
        };
        let balancing = self
            .worker
            .clock
            .monotonic()
            .saturating_duration_since(began);
        self.tries.push(Try {
            address,
            started_at: self.worker.clock.now() - balancing,
            balancing,
            failed: None,
            keep_alive: false,
        });
    }

    /// Notes how the latest attempt went.
    pub fn end_try(&mut self, kept_alive: bool, failure: Option<&Error>) {
        if let Some(last) = self.tries.last_mut() {
            last.keep_alive = kept_alive;
            last.failed = failure.map(|error| TryFailure {
                code: error.status(),
            });
        }
    }
}
