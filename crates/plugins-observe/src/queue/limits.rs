//! How much waits, for how long, and how often it is sent again.

use std::time::Duration;

use plugin_api::{Configured, Failure};
use serde::Deserialize;

/// The most bytes that wait in a queue whose configuration sets no limit, so that its memory is bounded however long
/// entries are.
const MOST_BYTES: usize = 64 << 20;
/// How many batches are sent at the same time when there is no limit to it.
const MOST_AT_ONCE: usize = 64;

/// The limits of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of a batch.
    pub batch: usize,
    /// How long an entry waits for others.
    pub delay: Duration,
    pub entries: usize,
    pub bytes: usize,
    /// For how long a batch is sent again; `None`: it is not.
    pub retry_for: Option<Duration>,
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// How many batches are sent at the same time.
    pub at_once: usize,
}

/// The settings in a record.
#[derive(Deserialize)]
struct Settings {
    max_batch_size: usize,
    max_coalescing_delay: f64,
    max_entries: usize,
    max_bytes: Option<usize>,
    max_retry_time: f64,
    initial_retry_delay: f64,
    max_retry_delay: f64,
    concurrency_limit: i64,
}

#[derive(Deserialize)]
struct WithQueue {
    queue: Settings,
    queue_size: Option<usize>,
    flush_timeout: Option<f64>,
    batch_span_count: Option<usize>,
    batch_flush_delay: Option<f64>,
}

impl Limits {
    /// Those of the field `queue`.
    ///
    /// Compat: `queue_size` and `flush_timeout`, or `batch_span_count` and `batch_flush_delay`, count instead, if they are
    /// not what they were by default.
    ///
    /// # Errors
    /// When the configuration is not what its declaration says.
    pub fn read(record: &Configured<'_>) -> Result<Self, Failure> {
        let WithQueue {
            queue,
            queue_size,
            flush_timeout,
            batch_span_count,
            batch_flush_delay,
        } = record.read()?;
        let other = |number: Option<f64>, default: f64| {
            number.filter(|number| (*number - default).abs() > f64::EPSILON)
        };
        let spans = batch_span_count.filter(|spans| *spans != 200);
        let batch = spans.or(queue_size.filter(|size| *size != 1));
        let delay = other(batch_flush_delay, 3.0).or(other(flush_timeout, 2.0));
        let is_serial = queue.concurrency_limit == 1;
        Ok(Self {
            batch: match is_serial {
                true => batch.unwrap_or(queue.max_batch_size).max(1),
                false => 1,
            },
            delay: match is_serial {
                true => seconds(delay.unwrap_or(queue.max_coalescing_delay)),
                false => Duration::ZERO,
            },
            entries: queue.max_entries.max(1),
            bytes: queue.max_bytes.unwrap_or(MOST_BYTES),
            retry_for: (queue.max_retry_time >= 0.0).then(|| seconds(queue.max_retry_time)),
            first_retry: seconds(queue.initial_retry_delay),
            longest_retry: seconds(queue.max_retry_delay),
            at_once: if is_serial { 1 } else { MOST_AT_ONCE },
        }
        .coherent())
    }

    /// Those of a queue that writes lines to a place which is not configured further.
    pub fn of_lines() -> Self {
        Self {
            batch: 1000,
            delay: Duration::from_millis(10),
            entries: 10_000,
            bytes: MOST_BYTES,
            retry_for: Some(Duration::from_secs(60)),
            first_retry: Duration::from_millis(10),
            longest_retry: Duration::from_secs(10),
            at_once: 1,
        }
    }

    /// Those of a queue of datagrams: each goes by itself, and is not sent again.
    pub fn of_datagrams() -> Self {
        Self {
            batch: 1,
            delay: Duration::ZERO,
            retry_for: None,
            ..Self::of_lines()
        }
    }

    /// Nothing waits for others where there is nobody to wait for.
    fn coherent(mut self) -> Self {
        if self.batch == 1 {
            self.delay = Duration::ZERO;
        }
        self
    }
}

/// A number of seconds; what is none counts as nothing.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

/// A number of milliseconds.
pub fn millis(number: f64) -> Duration {
    seconds(number / 1000.0)
}
