use std::collections::HashMap;

use parking_lot::Mutex;
use plugin_api::BoxFuture;

use super::*;
use crate::counting::Period;

/// A Redis that knows the scripts of this module by their text.
#[derive(Default)]
pub(in crate::counting) struct FakeRedis {
    pub held: Mutex<HashMap<String, i64>>,
    /// Whether no two keys are on the same node.
    pub is_apart: AtomicBool,
    pub is_away: AtomicBool,
    /// What was asked: how many keys each time.
    pub calls: Mutex<Vec<usize>>,
}

impl FakeRedis {
    fn answer(
        &self,
        script: &str,
        keys: &[String],
        arguments: &[String],
    ) -> Result<RedisValue, RedisError> {
        self.calls.lock().push(keys.len());
        if self.is_away.load(Ordering::Relaxed) {
            return Err(RedisError::Unavailable("away".to_owned()));
        }
        if self.is_apart.load(Ordering::Relaxed) && keys.len() > 1 {
            return Err(RedisError::Apart);
        }
        let mut held = self.held.lock();
        let number = |place: usize| arguments[place].parse::<f64>().expect("a number");
        let read: Vec<_> = keys
            .iter()
            .map(|key| held.get(key).copied().unwrap_or(0))
            .collect();
        let texts = |numbers: &[i64]| {
            let text = |number: &i64| RedisValue::Bytes(number.to_string().into_bytes());
            numbers.iter().map(text).collect::<Vec<_>>()
        };
        let change = if script == TAKE {
            let has_room = (0..keys.len()).all(|place| (read[place] as f64) < number(place));
            let mut answer = texts(&read);
            answer.insert(0, RedisValue::Int(has_room.into()));
            if has_room {
                for key in keys {
                    *held.entry(key.clone()).or_default() += 1;
                }
            }
            return Ok(RedisValue::List(answer));
        } else if script == READ {
            return Ok(RedisValue::List(texts(&read)));
        } else if script == ADD {
            number(0) as i64
        } else if script == GIVE_BACK {
            -1
        } else {
            panic!("an unknown script: {script}");
        };
        let mut answer = Vec::new();
        for key in keys {
            let counter = held.entry(key.clone()).or_default();
            *counter += change;
            answer.push(RedisValue::Int(*counter));
        }
        Ok(RedisValue::List(answer))
    }
}

impl Redis for FakeRedis {
    fn eval(
        &self,
        script: &'static str,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> BoxFuture<Result<RedisValue, RedisError>> {
        Box::pin(std::future::ready(self.answer(script, &keys, &arguments)))
    }
}

fn limits() -> [Limit; 2] {
    let limit = |period, most| Limit { period, most };
    [limit(Period::Second, 2.0), limit(Period::Hour, 3.0)]
}

fn keys(second: u32) -> Vec<String> {
    vec![format!("second:{second}"), "hour".to_owned()]
}

#[tokio::test]
async fn a_cluster_counts_as_a_single_server_does() {
    for is_apart in [false, true] {
        let fake = Arc::new(FakeRedis::default());
        fake.is_apart.store(is_apart, Ordering::Relaxed);
        let counters = RedisCounters::on(fake.clone());
        let mut verdicts = Vec::new();
        for second in [1, 1, 1, 2, 2] {
            let verdict = counters
                .take(keys(second), &limits())
                .await
                .expect("a verdict");
            verdicts.push((verdict.granted, verdict.used[0], verdict.used[1]));
        }
        // What a cluster takes and gives back shows in the hour of the third.
        assert_eq!(
            verdicts,
            [
                (true, 0.0, 0.0),
                (true, 1.0, 1.0),
                (false, 2.0, 2.0),
                (true, 0.0, 2.0),
                (false, 1.0, 3.0),
            ],
            "apart: {is_apart}"
        );
        let held = fake.held.lock();
        assert_eq!(
            (held["second:1"], held["second:2"], held["hour"]),
            (2, 1, 3)
        );
    }
}

#[tokio::test]
async fn usage_is_added_and_read_in_a_cluster_as_well() {
    for is_apart in [false, true] {
        let fake = Arc::new(FakeRedis::default());
        fake.is_apart.store(is_apart, Ordering::Relaxed);
        let counters = RedisCounters::on(fake);
        let added = counters.add(keys(1), &limits(), 5.0).await.expect("totals");
        assert_eq!((added[0], added[1]), (5.0, 5.0));
        let read = counters.read(keys(2)).await.expect("totals");
        assert_eq!((read[0], read[1]), (0.0, 5.0), "apart: {is_apart}");
    }
}

#[tokio::test]
async fn whether_keys_are_apart_is_found_out_once() {
    let fake = Arc::new(FakeRedis::default());
    fake.is_apart.store(true, Ordering::Relaxed);
    let counters = RedisCounters::on(fake.clone());
    for _ in 0..2 {
        counters.read(keys(1)).await.expect("totals");
    }
    assert_eq!(*fake.calls.lock(), [2, 1, 1, 1, 1]);
}
