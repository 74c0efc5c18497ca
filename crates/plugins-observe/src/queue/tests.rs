//! The queue, in paused time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use plugin_api::Page;
use plugin_api::testing::{FakeRecords, services};
use tokio::sync::watch;

use super::*;

/// Tasks on the runtime of a test.
pub struct Tasks(watch::Sender<bool>);

impl Default for Tasks {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Tasks {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Background for Tasks {
    fn spawn(&self, future: BoxFuture<()>) {
        tokio::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn stopping(&self) -> BoxFuture<()> {
        let mut stops = self.0.subscribe();
        Box::pin(async move {
            let _ = stops.wait_for(|stops| *stops).await;
        })
    }
}

/// The runtime's clock, which a test pauses.
#[derive(Debug)]
struct PausedClock;

impl Clock for PausedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// A collector that a test looks into.
#[derive(Default)]
struct Seen {
    batches: Mutex<Vec<Vec<Bytes>>>,
    /// How many of the next attempts fail.
    fails: AtomicUsize,
    attempts: AtomicUsize,
    /// The most bytes that are taken at once; 0 for no limit.
    most: AtomicUsize,
    /// Whether attempts never end.
    hangs: AtomicBool,
}

impl Seen {
    fn batches(&self) -> Vec<Vec<String>> {
        let batches = self.batches.lock();
        let text = |entry: &Bytes| String::from_utf8(entry.to_vec()).unwrap();
        let batches = batches.iter().map(|batch| batch.iter().map(text).collect());
        batches.collect()
    }
}

struct To(Arc<Seen>);

impl Collector for To {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            self.0.attempts.fetch_add(1, Ordering::SeqCst);
            if self.0.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.0.fails.load(Ordering::SeqCst) > 0 {
                self.0.fails.fetch_sub(1, Ordering::SeqCst);
                return Err("as the test wants it".to_owned().into());
            }
            let most = self.0.most.load(Ordering::SeqCst);
            if most > 0 && batch.bytes() > most {
                return Err(Refusal {
                    reason: "too large".to_owned(),
                    is_too_large: true,
                });
            }
            self.0.batches.lock().push(batch.entries().collect());
            Ok(())
        })
    }
}

struct Bench {
    services: Services,
    tasks: Arc<Tasks>,
    seen: Arc<Seen>,
}

impl Bench {
    fn new() -> Self {
        let tasks = Arc::<Tasks>::default();
        let mut services = services(FakeRecords::default());
        services.background = tasks.clone();
        services.clock = Arc::new(PausedClock);
        Self {
            services,
            tasks,
            seen: Arc::default(),
        }
    }

    fn queue(&self, limits: Limits) -> Arc<Queue> {
        let seen = self.seen.clone();
        Queue::of(&self.services, "test-log", "", limits, || {
            Box::new(To(seen))
        })
    }

    /// Lets everything happen that happens within this time.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn shows(&self, line: &str) -> bool {
        let mut page = Page::new();
        self.services.metrics.write(&mut page);
        page.finish(metrics::Format::Text).contains(line)
    }
}

fn limits() -> Limits {
    Limits {
        batch: 3,
        delay: Duration::from_secs(2),
        entries: 10,
        bytes: 1000,
        retry_for: Some(Duration::from_secs(60)),
        first_retry: Duration::from_millis(10),
        longest_retry: Duration::from_secs(10),
        at_once: 1,
    }
}

fn push(queue: &Arc<Queue>, entries: &[&'static str]) {
    for entry in entries {
        queue.push(entry.as_bytes());
    }
}

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_the_rest_after_the_delay() {
    let bench = Bench::new();
    let queue = bench.queue(limits());
    push(&queue, &["1", "2"]);
    bench.pass(MOMENT).await;
    assert!(bench.seen.batches().is_empty());
    push(&queue, &["3", "4"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [["1", "2", "3"]]);
    bench.pass(Duration::from_secs(2)).await;
    assert_eq!(bench.seen.batches()[1..], [["4"]]);
}

#[tokio::test(start_paused = true)]
async fn entries_that_do_not_wait_for_others_go_one_by_one() {
    let bench = Bench::new();
    let alone = Limits {
        batch: 1,
        delay: Duration::ZERO,
        ..limits()
    };
    let queue = bench.queue(alone);
    push(&queue, &["1", "2"]);
    bench.pass(MOMENT).await;
    push(&queue, &["3"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [["1"], ["2"], ["3"]]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_again_at_growing_intervals() {
    let bench = Bench::new();
    bench.seen.fails.store(3, Ordering::SeqCst);
    let queue = bench.queue(limits());
    push(&queue, &["1", "2", "3"]);
    for (passes, attempts) in [(1, 1), (10, 2), (20, 3), (38, 3), (2, 4)] {
        bench.pass(Duration::from_millis(passes)).await;
        assert_eq!(bench.seen.attempts.load(Ordering::SeqCst), attempts);
    }
    assert_eq!(bench.seen.batches(), [["1", "2", "3"]]);
    assert!(bench.shows("silverback_log_batches_failed_total{plugin=\"test-log\"} 3\n"));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_given_up_and_counted() {
    let bench = Bench::new();
    bench.seen.fails.store(usize::MAX, Ordering::SeqCst);
    let queue = bench.queue(limits());
    push(&queue, &["1", "2", "3"]);
    bench.pass(Duration::from_secs(90)).await;
    bench.seen.fails.store(0, Ordering::SeqCst);
    push(&queue, &["4", "5", "6"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [["4", "5", "6"]]);
    let dropped = "silverback_log_entries_dropped_total{plugin=\"test-log\"";
    assert!(bench.shows(&format!("{dropped},reason=\"not_taken\"}} 3\n")));
    assert!(bench.shows("silverback_log_entries_sent_total{plugin=\"test-log\"} 3\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_sent_in_parts_and_single_entries_that_are_it_are_counted() {
    let bench = Bench::new();
    bench.seen.most.store(4, Ordering::SeqCst);
    let queue = bench.queue(Limits {
        batch: 5,
        ..limits()
    });
    push(&queue, &["1", "22", "too large", "3", "4"]);
    bench.pass(MOMENT).await;
    assert_eq!(
        bench.seen.batches(),
        [vec!["1", "22"], vec!["3", "4"]],
        "in their order, without the one that is too large by itself"
    );
    let dropped = "silverback_log_entries_dropped_total{plugin=\"test-log\"";
    assert!(bench.shows(&format!("{dropped},reason=\"refused\"}} 1\n")));
    assert!(bench.shows("silverback_log_entries_sent_total{plugin=\"test-log\"} 4\n"));
    push(&queue, &["5", "6", "7", "8"]);
    bench.pass(Duration::from_secs(3)).await;
    assert_eq!(bench.seen.batches()[2..], [["5", "6", "7", "8"]]);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_finds_everything_too_large_is_asked_less_and_less_often() {
    let bench = Bench::new();
    bench.seen.most.store(1, Ordering::SeqCst);
    let queue = bench.queue(limits());
    push(&queue, &["11", "22", "33", "44", "55", "66"]);
    // A batch of three is five attempts; after each entry but the first there is a pause: 10, 20, 40, 80 ms.
    for (passes, attempts) in [(1, 4), (10, 5), (20, 7), (38, 7), (2, 9), (80, 10)] {
        bench.pass(Duration::from_millis(passes)).await;
        assert_eq!(bench.seen.attempts.load(Ordering::SeqCst), attempts);
    }
    bench.pass(Duration::from_secs(1)).await;
    push(&queue, &["7", "8", "9", "00", "a", "b"]);
    bench.seen.most.store(3, Ordering::SeqCst);
    bench.pass(MOMENT).await;
    bench.seen.most.store(1, Ordering::SeqCst);
    assert_eq!(
        bench.seen.batches()[0],
        ["7", "8", "9"],
        "what is taken ends it"
    );
    bench.tasks.stop();
    let before = bench.seen.attempts.load(Ordering::SeqCst);
    push(&queue, &["77", "88", "99"]);
    bench.pass(MOMENT).await;
    assert!(
        bench.seen.attempts.load(Ordering::SeqCst) >= before + 5,
        "a stop does not wait"
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_costs_the_oldest_entries_and_no_more_memory() {
    let bench = Bench::new();
    bench.seen.hangs.store(true, Ordering::SeqCst);
    let queue = bench.queue(limits());
    push(&queue, &["a", "b", "c"]);
    bench.pass(MOMENT).await;
    for _ in 0..1000 {
        push(&queue, &["x"]);
    }
    bench.pass(Duration::from_secs(600)).await;
    let state = queue.state.lock();
    assert_eq!((state.entries, state.bytes), (10, 10));
    drop(state);
    assert!(bench.shows("silverback_log_queue_entries{plugin=\"test-log\"} 10\n"));
    assert!(bench.shows("silverback_log_queue_bytes{plugin=\"test-log\"} 10\n"));
    let dropped = "silverback_log_entries_dropped_total{plugin=\"test-log\"";
    assert!(bench.shows(&format!("{dropped},reason=\"full\"}} 990\n")));
    assert!(bench.shows("silverback_log_entries_queued_total{plugin=\"test-log\"} 1003\n"));
}

#[tokio::test(start_paused = true)]
async fn long_entries_push_others_out_and_longer_ones_are_not_taken() {
    let bench = Bench::new();
    bench.seen.hangs.store(true, Ordering::SeqCst);
    let queue = bench.queue(Limits {
        batch: 100,
        ..limits()
    });
    push(&queue, &["1", "2", "3"]);
    queue.push(&[b'x'; 999]);
    assert_eq!(queue.state.lock().bytes, 1000);
    queue.push(&[b'x'; 1001]);
    assert_eq!(queue.state.lock().entries, 2);
    let dropped = "silverback_log_entries_dropped_total{plugin=\"test-log\"";
    assert!(bench.shows(&format!("{dropped},reason=\"full\"}} 2\n")));
    assert!(bench.shows(&format!("{dropped},reason=\"too_long\"}} 1\n")));
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_waits_for_others_and_what_waits_to_be_sent_again() {
    let bench = Bench::new();
    bench.seen.fails.store(1, Ordering::SeqCst);
    let slow = Limits {
        first_retry: Duration::from_secs(10),
        ..limits()
    };
    let queue = bench.queue(slow);
    push(&queue, &["1", "2", "3"]);
    bench.pass(MOMENT).await;
    push(&queue, &["4"]);
    bench.tasks.stop();
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [vec!["1", "2", "3"], vec!["4"]]);
    push(&queue, &["5"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches()[2..], [["5"]]);
}

#[tokio::test(start_paused = true)]
async fn handlers_with_equal_parameters_share_a_queue_that_outlives_them() {
    let bench = Bench::new();
    let queue = bench.queue(limits());
    push(&queue, &["1"]);
    assert!(Arc::ptr_eq(&queue, &bench.queue(limits())));
    let other = Queue::of(&bench.services, "test-log", "other", limits(), || {
        Box::new(To(Arc::default()))
    });
    assert!(!Arc::ptr_eq(&queue, &other));
    drop(queue);
    push(&bench.queue(limits()), &["2", "3"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [["1", "2", "3"]]);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_to_concurrency_nobody_waits_for_a_slow_one() {
    let bench = Bench::new();
    bench.seen.hangs.store(true, Ordering::SeqCst);
    let queue = bench.queue(Limits {
        batch: 1,
        delay: Duration::ZERO,
        at_once: 2,
        ..limits()
    });
    push(&queue, &["slow"]);
    bench.pass(MOMENT).await;
    bench.seen.hangs.store(false, Ordering::SeqCst);
    push(&queue, &["1", "2"]);
    bench.pass(MOMENT).await;
    assert_eq!(bench.seen.batches(), [["1"], ["2"]]);
}

#[test]
fn limits_are_read_with_their_older_names() {
    let read = |config: serde_json::Value| {
        let mut config = config.as_object().cloned().unwrap();
        let mut queue = serde_json::json!({
            "max_batch_size": 5, "max_coalescing_delay": 1.5, "max_entries": 100,
            "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
            "max_retry_delay": 60, "concurrency_limit": 1,
        });
        if let Some(changed) = config.get("queue").and_then(|queue| queue.as_object()) {
            queue.as_object_mut().unwrap().extend(changed.clone());
        }
        config.insert("queue".to_owned(), queue);
        let id = uuid::Uuid::from_u128(9);
        let record = plugin_api::Configured {
            id,
            instance_name: None,
            route: None,
            service: None,
            consumer: None,
            config: &config,
        };
        Limits::read(&record).unwrap()
    };
    let plain = read(serde_json::json!({}));
    assert_eq!((plain.batch, plain.delay), (5, Duration::from_millis(1500)));
    assert_eq!(plain.retry_for, Some(Duration::from_secs(60)));
    let older = read(serde_json::json!({ "queue_size": 7, "flush_timeout": 3 }));
    assert_eq!((older.batch, older.delay), (7, Duration::from_secs(3)));
    let default = read(serde_json::json!({ "queue_size": 1, "flush_timeout": 2 }));
    assert_eq!(
        (default.batch, default.delay),
        (5, Duration::from_millis(1500))
    );
    let changed = serde_json::json!({
        "queue": { "concurrency_limit": -1, "max_retry_time": -1, "max_bytes": 10 }
    });
    let changed = read(changed);
    assert_eq!((changed.batch, changed.bytes), (1, 10));
    assert_eq!((changed.retry_for, changed.delay), (None, Duration::ZERO));
    assert!(changed.at_once > 1);
}
