//! The address that has answered fastest of late, for its weight.

use std::time::{Duration, Instant};

use crate::heap::IndexedHeap;

/// A measurement loses its weight by the factor e in this time.
const DECAY_SECONDS: f64 = 10.0;

/// A moving average of times to answer, and when it was last changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Average {
    seconds: f64,
    touched: Instant,
}

/// Peak-insensitive exponentially weighted moving averages.
///
/// An average falls by `exp(-t / 10 s)` while nothing is measured, so that slow addresses get another chance. All
/// fall by the same factor, hence `ln(average) + touched / 10 s` orders them at any time.
#[derive(Debug)]
pub(crate) struct Latency {
    epoch: Instant,
    weights: Vec<u32>,
    averages: Vec<Average>,
    scores: IndexedHeap,
}

impl Latency {
    /// New addresses start with the mean of those that are known, so that they are not flooded.
    pub(crate) fn new(
        weights: impl Iterator<Item = u32>,
        now: Instant,
        known: impl Fn(usize) -> Option<Average>,
    ) -> Self {
        let weights: Vec<u32> = weights.collect();
        let known: Vec<Option<Average>> = (0..weights.len()).map(known).collect();
        let measured = || known.iter().flatten();
        #[expect(
            clippy::cast_precision_loss,
            reason = "there are far fewer than 2^52 addresses"
        )]
        let count = measured().count().max(1) as f64;
        let mean = Average {
            seconds: measured().map(|average| average.seconds).sum::<f64>() / count,
            touched: now,
        };
        let averages: Vec<Average> = known
            .iter()
            .map(|average| average.unwrap_or(mean))
            .collect();
        let scored = weights.iter().zip(&averages);
        let scores =
            IndexedHeap::new(scored.map(|(weight, average)| score(*average, *weight, now)));
        Self {
            epoch: now,
            weights,
            averages,
            scores,
        }
    }

    pub(crate) fn measured(&self, index: usize) -> Option<Average> {
        self.averages.get(index).copied()
    }

    /// Leaves out what is not healthy.
    pub(crate) fn set_healthy(&mut self, healthy: &[bool]) {
        for (index, (average, weight)) in self.averages.iter().zip(&self.weights).enumerate() {
            let is_healthy = healthy.get(index).copied().unwrap_or_default();
            let score = score(*average, *weight, self.epoch).filter(|_| is_healthy);
            self.scores.put(index, score);
        }
    }

    pub(crate) fn pick(&self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        self.scores.first(allowed)
    }

    pub(crate) fn measure(&mut self, index: usize, time: Duration, now: Instant) {
        let (Some(average), Some(weight)) = (self.averages.get_mut(index), self.weights.get(index))
        else {
            return;
        };
        let passed = now.saturating_duration_since(average.touched).as_secs_f64();
        let kept = (-passed / DECAY_SECONDS).exp();
        *average = Average {
            seconds: average.seconds * kept + time.as_secs_f64() * (1.0 - kept),
            touched: now,
        };
        if let Some(score) = score(*average, *weight, self.epoch) {
            self.scores.set(index, score);
        }
    }
}

/// The logarithm of the average for its weight, moved to a common time; `None` without weight.
fn score(average: Average, weight: u32, epoch: Instant) -> Option<f64> {
    let after = average
        .touched
        .saturating_duration_since(epoch)
        .as_secs_f64();
    let before = epoch
        .saturating_duration_since(average.touched)
        .as_secs_f64();
    (weight > 0)
        .then(|| average.seconds.ln() - f64::from(weight).ln() + (after - before) / DECAY_SECONDS)
}
