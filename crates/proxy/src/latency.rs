//! Where the time of an exchange went, and numbers as header values.

use std::time::{Duration, Instant};

use crate::exchange::Exchange;

/// Where the time of an exchange went, in milliseconds. Perf: computed for whoever wants to know it.
pub(crate) struct Latency {
    started: Instant,
    forwarded: Instant,
    answered: Instant,
}

impl Latency {
    pub fn of(exchange: &Exchange) -> Self {
        let answered = exchange
            .waited_until
            .unwrap_or_else(|| exchange.worker.clock.monotonic());
        Self {
            started: exchange.started,
            forwarded: exchange.forwarded.unwrap_or(answered),
            answered,
        }
    }

    /// Forgets what was waited for somebody else.
    pub fn leave_out(&mut self, waited: Duration) {
        self.started = self.answered.min(self.started + waited);
    }

    /// Before the request went to the upstream.
    pub fn proxy(&self) -> u64 {
        millis(self.started, self.forwarded)
    }

    /// From then to the head of the answer.
    pub fn upstream(&self) -> u64 {
        millis(self.forwarded, self.answered)
    }

    /// From the start to the head of the answer, or to now.
    pub fn total(&self) -> u64 {
        millis(self.started, self.answered)
    }
}

/// How long it was from one moment to another. Perf: many are the same.
pub(crate) fn since(from: Instant, to: Instant) -> Duration {
    if from == to {
        return Duration::ZERO;
    }
    to.saturating_duration_since(from)
}

fn millis(from: Instant, to: Instant) -> u64 {
    let passed = since(from, to);
    let whole = passed.as_secs().saturating_mul(1000);
    whole.saturating_add(passed.subsec_millis().into())
}

/// A number as text. Perf: without an allocation.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len() - 1;
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
            start = index;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 255, 1_234_567, u64::MAX] {
            assert_eq!(Decimal::new(number).as_ref(), number.to_string().as_bytes());
        }
    }
}
