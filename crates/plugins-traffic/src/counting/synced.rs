//! Counters in Redis that are counted on the node and sent every now and then (`sync_rate`).
//!
//! A counter that is seen for the first time is read from Redis. From then on a request costs no IO: the node adds what it
//! let through to what Redis said, and the sum decides. At every interval the node adds its part to Redis and learns what
//! the others have added. Nodes can therefore let through too many, by as much as they let through in one interval.
//!
//! While Redis is away, nothing is forgotten: the node goes on with what it knows, and sends its part when Redis is back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use plugin_api::{Redis, RedisError, Services};

use super::local::{Number, Place, is_present};
use super::redis::RedisCounters;
use super::subject::Names;
use super::{Limit, Used, Verdict};

/// The most counters that are known at the same time; others are asked for one by one.
const MOST: usize = 1 << 17;

/// Counters that are sent at the same time.
const AT_ONCE: usize = 512;

/// The counters that have one server and one interval in common.
pub struct SyncedCounters {
    names: Names,
    state: Mutex<State>,
}

struct State {
    redis: Arc<RedisCounters>,
    /// By the number of the counter.
    known: HashMap<u128, Counter, BuildHasherDefault<Number>>,
    /// Whether a task sends what is counted.
    running: bool,
    /// Whether the last time went wrong.
    is_failing: bool,
    /// When all of it was exchanged with Redis last, in seconds since the Unix epoch.
    synced_at: i64,
}

struct Counter {
    key: Box<str>,
    limit: Limit,
    /// When its window began.
    start: i64,
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
            names: Names::default(),
            state: Mutex::new(State {
                redis: Arc::new(RedisCounters::on(redis)),
                known: HashMap::default(),
                running: false,
                is_failing: false,
                synced_at: i64::MAX,
            }),
        }
    }

    /// Uses another connection from now on, such as one with a new password.
    pub fn set_redis(&self, redis: Arc<dyn Redis>) {
        self.state.lock().redis = Arc::new(RedisCounters::on(redis));
    }

    /// How many seconds ago all that is known was exchanged with Redis; `None` while nothing is.
    pub fn age(&self, now: i64) -> Option<u64> {
        let state = self.state.lock();
        let age = now.saturating_sub(state.synced_at).max(0);
        state.running.then_some(age.unsigned_abs())
    }

    /// The place of a subject.
    pub fn place(&self, subject: &impl Hash) -> Place {
        Place(self.names.number(subject))
    }

    /// Counts a request with what the node knows; `None` if it does not know all counters yet. One that is `strict` does
    /// not go on with what was known before Redis went away.
    pub fn take_known(
        &self,
        place: Place,
        limits: &[Limit],
        now: i64,
        strict: bool,
    ) -> Option<Verdict> {
        let mut state = self.state.lock();
        if state.is_failing && strict {
            return None;
        }
        let mut used = Used::default();
        let mut granted = true;
        for (used, limit) in used.iter_mut().zip(limits) {
            let counter = state.known.get_mut(&place.counter(limit.period))?;
            if !is_present(counter.start, limit.period, now) {
                return None;
            }
            counter.touched = true;
            *used = counter.total + counter.sending + counter.own;
            granted &= *used < limit.most;
        }
        if granted {
            for limit in limits {
                if let Some(counter) = state.known.get_mut(&place.counter(limit.period)) {
                    counter.own += 1.0;
                }
            }
        }
        Some(Verdict { granted, used })
    }

    /// Counts a request; asks Redis for what the node does not know. The keys are those of the windows at `now`.
    ///
    /// # Errors
    /// When Redis is out of reach, or refuses.
    pub async fn take(
        self: &Arc<Self>,
        place: Place,
        keys: Vec<String>,
        limits: &[Limit],
        now: i64,
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
        self.learn(place, &keys, limits, &totals, now);
        self.start(every, now, services);
        match self.take_known(place, limits, now, false) {
            Some(verdict) => Ok(verdict),
            // They were forgotten in this very moment.
            None => redis.take(keys, limits).await,
        }
    }

    /// Takes note of counters that nobody else has learned meanwhile. Those of windows that are over make room for them.
    fn learn(&self, place: Place, keys: &[String], limits: &[Limit], totals: &Used, now: i64) {
        let mut state = self.state.lock();
        state.is_failing = false;
        for ((key, limit), total) in keys.iter().zip(limits).zip(totals) {
            let name = place.counter(limit.period);
            let known = state.known.get(&name);
            if known.is_some_and(|known| is_present(known.start, limit.period, now)) {
                continue;
            }
            let counter = Counter {
                key: key.as_str().into(),
                limit: *limit,
                start: limit.period.start(now),
                total: *total,
                own: 0.0,
                sending: 0.0,
                touched: true,
            };
            state.known.insert(name, counter);
        }
    }

    /// Starts the task that sends, if it does not run.
    fn start(self: &Arc<Self>, every: Duration, now: i64, services: &Services) {
        let mut state = self.state.lock();
        if state.running {
            return;
        }
        state.running = true;
        state.synced_at = now;
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
        let mut fails = false;
        for parts in parts.chunks(AT_ONCE) {
            let sent = parts.iter().map(|part| {
                let (redis, key) = (redis.clone(), part.key.to_string());
                async move {
                    match part.amount == 0.0 {
                        true => redis.read(vec![key]).await,
                        false => {
                            let limit = std::slice::from_ref(&part.limit);
                            redis.add(vec![key], limit, part.amount).await
                        }
                    }
                }
            });
            let answers = join_all(sent).await;
            let mut state = self.state.lock();
            state.is_failing = false;
            for (part, answer) in parts.iter().zip(answers) {
                fails |= answer.is_err();
                state.settle(part, answer.map(|used| used[0]));
            }
        }
        if !fails {
            self.state.lock().synced_at = now;
        }
    }

    /// Everything that is to be sent now.
    fn begin(&self, now: i64) -> (Arc<RedisCounters>, Vec<Part>) {
        let mut state = self.state.lock();
        state.known.retain(|_, counter| {
            let is_over = !is_present(counter.start, counter.limit.period, now);
            !is_over && (counter.touched || counter.own != 0.0)
        });
        let parts = state.known.iter_mut().map(|(name, counter)| {
            counter.touched = false;
            counter.sending = std::mem::take(&mut counter.own);
            Part {
                name: *name,
                start: counter.start,
                key: counter.key.clone(),
                limit: counter.limit,
                amount: counter.sending,
            }
        });
        let parts = parts.collect();
        (state.redis.clone(), parts)
    }
}

/// What this node has let through of one counter since the last time.
struct Part {
    name: u128,
    start: i64,
    key: Box<str>,
    limit: Limit,
    amount: f64,
}

impl State {
    /// Takes note of what became of one counter's part.
    fn settle(&mut self, part: &Part, answer: Result<f64, RedisError>) {
        if answer.is_err() {
            self.is_failing = true;
        }
        let counter = self.known.get_mut(&part.name);
        let Some(counter) = counter.filter(|counter| counter.start == part.start) else {
            return;
        };
        counter.sending = 0.0;
        match answer {
            Ok(total) => counter.total = total,
            Err(_) => counter.own += part.amount,
        }
    }
}

#[cfg(test)]
mod tests;
