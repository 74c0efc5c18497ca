//! Where the time of an exchange went, and numbers as header values.

use std::time::Instant;

use crate::exchange::Exchange;

/// Where the time of an exchange went, in milliseconds.
pub(crate) struct Latency {
    /// Before the request went to the upstream.
    pub proxy: u64,
    /// From then to the head of the answer.
    pub upstream: u64,
    /// From the start to now.
    pub total: u64,
}

impl Latency {
    pub fn of(exchange: &Exchange) -> Self {
        let millis = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        let answered = exchange
            .waited_until
            .unwrap_or_else(|| exchange.worker.clock.monotonic());
        let forwarded = exchange.forwarded.unwrap_or(answered);
        Self {
            proxy: millis(exchange.started, forwarded),
            upstream: millis(forwarded, answered),
            total: millis(exchange.started, answered),
        }
    }
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

impl Decimal {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_ref()).unwrap_or_default()
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
