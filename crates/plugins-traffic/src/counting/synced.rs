//! Counters in Redis that are counted on the node and sent every now and then (`sync_rate`).
//!
//! A counter that is seen for the first time is read from Redis. From then on a request costs no IO: the node adds what it
//! let through to what Redis said, and the sum decides. At every interval the node adds its part to Redis and learns what
//! the others have added. Nodes can therefore let through too many, by as much as they let through in one interval.
//!
//! While Redis is away, nothing is forgotten: the node goes on with what it knows, and sends its part when Redis is back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use plugin_api::{Redis, RedisError, Services};

use super::redis::RedisCounters;
use super::{Limit, Used, Verdict};

/// The most counters that are known at the same time; others are asked for one by one.
const MOST: usize = 1 << 17;

/// Counters that are sent at the same time.
const AT_ONCE: usize = 512;

/// The counters that have one server and one interval in common.
pub struct SyncedCounters {
    state: Mutex<State>,
}

struct State {
    redis: Arc<RedisCounters>,
    known: HashMap<Box<str>, Counter>,
    /// Whether a task sends what is counted.
    running: bool,
    /// Whether the last time went wrong.
    is_failing: bool,
}

struct Counter {
    limit: Limit,
    /// When its window is over for certain.
    until: i64,
    /// What Redis said last.
    total: f64,
    /// What this node has let through and not sent.
    own: f64,
    /// What is on its way.
    sending: f64,
    /// Whether somebody asked since the last interval.
    touched: bool,
}

impl SyncedCounters {
    /// The counters on a server.
    pub fn on(redis: Arc<dyn Redis>) -> Self {
        Self {
            state: Mutex::new(State {
                redis: Arc::new(RedisCounters::on(redis)),
                known: HashMap::new(),
                running: false,
                is_failing: false,
            }),
        }
    }

    /// Uses another connection from now on, such as one with a new password.
    pub fn set_redis(&self, redis: Arc<dyn Redis>) {
        self.state.lock().redis = Arc::new(RedisCounters::on(redis));
    }

    /// Counts a request with what the node knows; `None` if it does not know all counters yet. One that is `strict` does
    /// not go on with what was known before Redis went away.
    pub fn take_known(&self, keys: &[String], limits: &[Limit], strict: bool) -> Option<Verdict> {
        let mut state = self.state.lock();
        if state.is_failing && strict {
            return None;
        }
        let mut used = Used::default();
        let mut granted = true;
        for (place, (key, limit)) in keys.iter().zip(limits).enumerate() {
            let counter = state.known.get_mut(key.as_str())?;
            counter.touched = true;
            used[place] = counter.total + counter.sending + counter.own;
            granted &= used[place] < limit.most;
        }
        if granted {
            for key in keys {
                if let Some(counter) = state.known.get_mut(key.as_str()) {
                    counter.own += 1.0;
                }
            }
        }
        Some(Verdict { granted, used })
    }

    /// Counts a request; asks Redis for what the node does not know.
    ///
    /// # Errors
    /// When Redis is out of reach, or refuses.
    pub async fn take(
        self: &Arc<Self>,
        keys: Vec<String>,
        limits: &[Limit],
        every: Duration,
        services: &Services,
    ) -> Result<Verdict, RedisError> {
        let (redis, is_full) = {
            let state = self.state.lock();
            (state.redis.clone(), state.known.len() + keys.len() > MOST)
        };
        if is_full {
            return redis.take(keys, limits).await;
        }
        let totals = redis.read(keys.clone()).await?;
        self.learn(&keys, limits, &totals, services.clock.unix_seconds());
        self.start(every, services);
        match self.take_known(&keys, limits, false) {
            Some(verdict) => Ok(verdict),
            // They were forgotten in this very moment.
            None => redis.take(keys, limits).await,
        }
    }

    /// Takes note of counters that nobody else has learned meanwhile.
    fn learn(&self, keys: &[String], limits: &[Limit], totals: &Used, now: i64) {
        let mut state = self.state.lock();
        state.is_failing = false;
        for ((key, limit), total) in keys.iter().zip(limits).zip(totals) {
            let new = || Counter {
                limit: *limit,
                until: now.saturating_add(limit.period.length().into()),
                total: *total,
                own: 0.0,
                sending: 0.0,
                touched: true,
            };
            state.known.entry(key.as_str().into()).or_insert_with(new);
        }
    }

    /// Starts the task that sends, if it does not run.
    fn start(self: &Arc<Self>, every: Duration, services: &Services) {
        let mut state = self.state.lock();
        if state.running {
            return;
        }
        state.running = true;
        drop(state);
        let (own, services) = (self.clone(), services.clone());
        let background = services.background.clone();
        background.spawn(Box::pin(async move { own.run(every, &services).await }));
    }

    /// Sends until there is nothing left to send, and once more when the node is about to end.
    async fn run(self: Arc<Self>, every: Duration, services: &Services) {
        let mut stopping = services.background.stopping();
        loop {
            let pause = services.background.sleep(every);
            let ended = matches!(select(pause, &mut stopping).await, Either::Right(_));
            self.send(services.clock.unix_seconds()).await;
            let mut state = self.state.lock();
            if ended || state.known.is_empty() {
                state.running = false;
                return;
            }
        }
    }

    /// Sends what was let through, learns the totals, and forgets what nobody asked for.
    async fn send(&self, now: i64) {
        let (redis, parts) = self.begin(now);
        for parts in parts.chunks(AT_ONCE) {
            let sent = parts.iter().map(|(key, limit, amount)| {
                let limit = std::slice::from_ref(limit);
                let (redis, key) = (redis.clone(), key.to_string());
                async move {
                    match *amount == 0.0 {
                        true => redis.read(vec![key]).await,
                        false => redis.add(vec![key], limit, *amount).await,
                    }
                }
            });
            let answers = join_all(sent).await;
            let mut state = self.state.lock();
            state.is_failing = false;
            for ((key, _, amount), answer) in parts.iter().zip(answers) {
                state.settle(key, *amount, answer.map(|used| used[0]));
            }
        }
    }

    /// Everything that is to be sent now.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn begin(&self, now: i64) -> (Arc<RedisCounters>, Vec<(Box<str>, Limit, f64)>) {
        let mut state = self.state.lock();
        state
            .known
            .retain(|_, counter| counter.until >= now && (counter.touched || counter.own != 0.0));
        let parts = state
            .known
            .iter_mut()
            .map(|(key, counter)| {
                counter.touched = false;
                counter.sending = std::mem::take(&mut counter.own);
                (key.clone(), counter.limit, counter.sending)
            })
            .collect();
        (state.redis.clone(), parts)
    }
}

impl State {
    /// Takes note of what became of one counter's part.
    fn settle(&mut self, key: &str, amount: f64, answer: Result<f64, RedisError>) {
        let Some(counter) = self.known.get_mut(key) else {
            return;
        };
        counter.sending = 0.0;
        match answer {
            Ok(total) => counter.total = total,
            Err(_) => {
                counter.own += amount;
                self.is_failing = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
