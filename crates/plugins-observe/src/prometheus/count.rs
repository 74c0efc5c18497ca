//! Numbers with one writer and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds. Perf: with a single writer, a load and a store do what a locked instruction would.
    pub fn add(&self, amount: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(amount);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times, counted by the bound that they do not exceed.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u32],
    counts: Box<[Count]>,
    micros: Count,
}

impl Histogram {
    /// Without observations. The bounds are milliseconds.
    pub fn new(bounds: &'static [u32]) -> Self {
        let counts = std::iter::repeat_with(Count::default).take(bounds.len() + 1);
        Self {
            bounds,
            counts: counts.collect(),
            micros: Count::default(),
        }
    }

    /// One more. Most times are short, so that the search begins at the lowest bound.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let fits = |bound: &u32| micros <= u64::from(*bound) * 1000;
        let at = self.bounds.iter().position(fits);
        if let Some(count) = self.counts.get(at.unwrap_or(self.bounds.len())) {
            count.add(1);
        }
        self.micros.add(micros);
    }
}

/// The sum of several histograms with the same bounds.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    pub counts: Vec<u64>,
    pub micros: u64,
}

impl Sum {
    pub fn add(&mut self, histogram: &Histogram) {
        self.counts.resize(histogram.counts.len(), 0);
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum += count.get();
        }
        self.micros = self.micros.wrapping_add(histogram.micros.get());
    }

    /// Whether nothing was observed.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The sum of the times in milliseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sample is a float by its format"
    )]
    pub fn millis(&self) -> f64 {
        self.micros as f64 / 1000.0
    }
}
