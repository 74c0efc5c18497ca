//! Counters in Redis, under Kong's keys.
//!
//! Check and increment are one step of a script, so of any number of callers on any number of nodes exactly as many are
//! let through as the limits say. Kong's nodes add one first and look afterwards; they count refused requests as well, so
//! a counter that they share can stand above its limit, which refuses here and there alike.
//!
//! In a Redis cluster the windows of one subject are on different nodes. They are then taken one after the other, the
//! longest first, and given back if a later one is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use plugin_api::{Redis, RedisError, RedisValue};

use super::{Limit, Used, Verdict, used};

/// Counts in all counters, or in none. Arguments are the limits and then, for how many seconds new counters live.
const TAKE: &str = "
local used, room = {}, 1
for i, key in ipairs(KEYS) do
    used[i] = redis.call('GET', key) or '0'
    if tonumber(used[i]) >= tonumber(ARGV[i]) then room = 0 end
end
if room == 1 then
    for i, key in ipairs(KEYS) do
        if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, ARGV[#KEYS + i]) end
    end
end
return {room, unpack(used)}";

/// Takes back what was counted, unless the counter has gone meanwhile.
const GIVE_BACK: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end
return 0";

const READ: &str = "
local used = {}
for i, key in ipairs(KEYS) do used[i] = redis.call('GET', key) or '0' end
return used";

/// Adds the first argument to all counters; the others say for how many seconds new ones live. Answers what they hold.
const ADD: &str = "
local held = {}
for i, key in ipairs(KEYS) do
    local is_new = redis.call('EXISTS', key) == 0
    held[i] = redis.call('INCRBY', key, ARGV[1])
    if is_new then redis.call('EXPIRE', key, ARGV[1 + i]) end
end
return held";

/// Counters on one Redis server, or on several that stand for one.
pub struct RedisCounters {
    redis: Arc<dyn Redis>,
    /// Whether counters of one subject are known to be on different nodes.
    apart: AtomicBool,
}

impl RedisCounters {
    /// Those of a server.
    pub fn on(redis: Arc<dyn Redis>) -> Self {
        Self {
            redis,
            apart: AtomicBool::new(false),
        }
    }

    /// Counts a request, if there is room for it in all windows. Keys and limits belong together by their place.
    ///
    /// # Errors
    /// When Redis is out of reach, or refuses.
    pub async fn take(&self, keys: Vec<String>, limits: &[Limit]) -> Result<Verdict, RedisError> {
        if !self.is_apart(&keys) {
            match self.eval(TAKE, keys.clone(), take_arguments(limits)).await {
                Err(RedisError::Apart) => self.apart.store(true, Ordering::Relaxed),
                answer => return verdict(&answer?),
            }
        }
        self.take_apart(keys, limits).await
    }

    async fn take_apart(&self, keys: Vec<String>, limits: &[Limit]) -> Result<Verdict, RedisError> {
        let mut used = Used::default();
        let mut taken: Vec<&String> = Vec::with_capacity(keys.len());
        let mut granted = true;
        for (place, (key, limit)) in keys.iter().zip(limits).enumerate().rev() {
            let one = std::slice::from_ref(limit);
            let held = match granted {
                true => {
                    let answer = self
                        .eval(TAKE, vec![key.clone()], take_arguments(one))
                        .await;
                    let verdict = match answer.and_then(|answer| verdict(&answer)) {
                        Ok(verdict) => verdict,
                        Err(error) => {
                            self.give_back(&taken).await;
                            return Err(error);
                        }
                    };
                    granted = verdict.granted;
                    if granted {
                        taken.push(key);
                    }
                    verdict.used[0]
                }
                false => self.read(vec![key.clone()]).await?[0],
            };
            used[place] = held;
        }
        if !granted {
            self.give_back(&taken).await;
        }
        Ok(Verdict { granted, used })
    }

    /// What cannot be given back stays counted, which lets fewer through and never more.
    async fn give_back(&self, keys: &[&String]) {
        for key in keys {
            if let Err(error) = self.eval(GIVE_BACK, vec![(*key).clone()], Vec::new()).await {
                tracing::debug!(%error, "a refused request stays counted");
            }
        }
    }

    /// What counters hold.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub async fn read(&self, keys: Vec<String>) -> Result<Used, RedisError> {
        if !self.is_apart(&keys) {
            match self.eval(READ, keys.clone(), Vec::new()).await {
                Err(RedisError::Apart) => self.apart.store(true, Ordering::Relaxed),
                answer => return Ok(numbers(answer?.list())),
            }
        }
        let each = keys
            .into_iter()
            .map(|key| self.eval(READ, vec![key], Vec::new()));
        let answers = try_join_all(each).await?;
        Ok(used(answers.iter().map(|answer| numbers(answer.list())[0])))
    }

    /// Adds to counters, whatever they hold, and tells what they hold then.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub async fn add(
        &self,
        keys: Vec<String>,
        limits: &[Limit],
        amount: f64,
    ) -> Result<Used, RedisError> {
        let amount = String::from_utf8_lossy(&super::text_of(amount)).into_owned();
        let lives = |limit: &Limit| limit.period.length().to_string();
        if !self.is_apart(&keys) {
            let arguments = std::iter::once(amount.clone()).chain(limits.iter().map(lives));
            match self.eval(ADD, keys.clone(), arguments.collect()).await {
                Err(RedisError::Apart) => self.apart.store(true, Ordering::Relaxed),
                answer => return Ok(numbers(answer?.list())),
            }
        }
        let each = keys
            .into_iter()
            .zip(limits)
            .map(|(key, limit)| self.eval(ADD, vec![key], vec![amount.clone(), lives(limit)]));
        let answers = try_join_all(each).await?;
        Ok(used(answers.iter().map(|answer| numbers(answer.list())[0])))
    }

    fn is_apart(&self, keys: &[String]) -> bool {
        keys.len() > 1 && self.apart.load(Ordering::Relaxed)
    }

    async fn eval(
        &self,
        script: &'static str,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> Result<RedisValue, RedisError> {
        self.redis.eval(script, keys, arguments).await
    }
}

fn take_arguments(limits: &[Limit]) -> Vec<String> {
    let most = limits.iter().map(|limit| limit.most.to_string());
    let lives = limits.iter().map(|limit| limit.period.length().to_string());
    most.chain(lives).collect()
}

fn verdict(answer: &RedisValue) -> Result<Verdict, RedisError> {
    let [room, used @ ..] = answer.list() else {
        return Err(RedisError::Refused("an answer without numbers".to_owned()));
    };
    Ok(Verdict {
        granted: *room == RedisValue::Int(1),
        used: numbers(used),
    })
}

fn numbers(values: &[RedisValue]) -> Used {
    used(values.iter().map(|value| value.number().unwrap_or(0.0)))
}

#[cfg(test)]
pub(super) mod tests;
