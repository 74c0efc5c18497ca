//! What was tried to reach an upstream, for those who log it.

use std::net::SocketAddr;
use std::time::Instant;

use plugin_api::{Phase, Try, TryFailure};

use crate::error::Error;
use crate::exchange::Exchange;
use crate::latency::since;

impl Exchange {
    /// The time now, if somebody may want to know how long it takes to choose an address: if no handler logs, nobody does.
    ///
    /// Perf: a choice that waits for nothing takes no time, and no clock is read.
    pub fn begin_choice(&self) -> Option<Instant> {
        let logs = self.has_phase(Phase::Log);
        logs.then(|| self.worker.now())
    }

    /// Notes an attempt at an address, with the time at which its choice began.
    pub fn note_try(&mut self, address: SocketAddr, began: Option<Instant>) {
        let Some(began) = began else {
            return;
        };
        self.tries.push(Try {
            address,
            started_at: self.worker.wall_time.of(began),
            balancing: since(began, self.worker.now()),
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
