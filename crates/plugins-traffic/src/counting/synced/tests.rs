use std::sync::atomic::Ordering;
use std::time::SystemTime;

use plugin_api::testing::{FakeRecords, services};
use stdx::ManualClock;

use super::*;
use crate::counting::Period;
use crate::counting::redis::tests::FakeRedis;

const NOW: i64 = 1_700_000_000;
const EVERY: Duration = Duration::from_secs(1);

fn limit() -> [Limit; 1] {
    [Limit {
        period: Period::Hour,
        most: 4.0,
    }]
}

/// A node, whose task does not run by itself.
fn node(fake: &Arc<FakeRedis>) -> Arc<SyncedCounters> {
    Arc::new(SyncedCounters::on(fake.clone()))
}

async fn take(node: &Arc<SyncedCounters>) -> Result<bool, RedisError> {
    let place = node.place(&"a");
    let verdict = match node.take_known(place, &limit(), NOW, false) {
        Some(verdict) => verdict,
        None => {
            let mut services = services(FakeRecords::default());
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            services.clock = Arc::new(ManualClock::at(start));
            let keys = vec!["a".to_owned()];
            node.take(place, keys, &limit(), NOW, EVERY, &services)
                .await?
        }
    };
    Ok(verdict.granted)
}

#[tokio::test]
async fn a_node_asks_once_and_counts_by_itself_then() {
    let fake = Arc::new(FakeRedis::default());
    fake.held.lock().insert("a".to_owned(), 1);
    let node = node(&fake);
    let passed: Vec<_> = [
        take(&node).await,
        take(&node).await,
        take(&node).await,
        take(&node).await,
    ]
    .into();
    assert_eq!(passed, [Ok(true), Ok(true), Ok(true), Ok(false)]);
    assert_eq!(fake.calls.lock().len(), 1);
    assert_eq!(fake.held.lock()["a"], 1);
    node.send(NOW).await;
    assert_eq!(fake.held.lock()["a"], 4);
}

#[tokio::test]
async fn nodes_learn_from_each_other_at_every_interval() {
    let fake = Arc::new(FakeRedis::default());
    let (one, two) = (node(&fake), node(&fake));
    assert_eq!(take(&one).await, Ok(true));
    assert_eq!(take(&two).await, Ok(true));
    assert_eq!(take(&two).await, Ok(true));
    one.send(NOW).await;
    two.send(NOW).await;
    assert_eq!(take(&two).await, Ok(true), "the fourth");
    assert_eq!(take(&two).await, Ok(false));
    assert_eq!(
        take(&one).await,
        Ok(true),
        "it has not heard of the last three"
    );
    two.send(NOW).await;
    one.send(NOW).await;
    assert_eq!(fake.held.lock()["a"], 5);
    assert_eq!(take(&one).await, Ok(false));
}

#[tokio::test]
async fn what_nobody_asks_for_is_forgotten() {
    let fake = Arc::new(FakeRedis::default());
    let node = node(&fake);
    assert_eq!(take(&node).await, Ok(true));
    node.send(NOW).await;
    assert_eq!(node.state.lock().known.len(), 1);
    node.send(NOW).await;
    assert!(node.state.lock().known.is_empty());
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_later_and_a_strict_limit_does_not_go_on() {
    let fake = Arc::new(FakeRedis::default());
    let node = node(&fake);
    assert_eq!(take(&node).await, Ok(true));
    fake.is_away.store(true, Ordering::Relaxed);
    node.send(NOW).await;
    assert_eq!(take(&node).await, Ok(true), "it goes on with what it knows");
    let place = node.place(&"a");
    assert_eq!(node.take_known(place, &limit(), NOW, true), None);
    fake.is_away.store(false, Ordering::Relaxed);
    node.send(NOW).await;
    assert_eq!(fake.held.lock()["a"], 2);
    assert!(node.take_known(place, &limit(), NOW, true).is_some());
}

#[tokio::test]
async fn windows_that_are_over_are_not_sent() {
    let fake = Arc::new(FakeRedis::default());
    let node = node(&fake);
    assert_eq!(take(&node).await, Ok(true));
    node.send(NOW + 3 * 3600).await;
    assert!(node.state.lock().known.is_empty());
    assert!(!fake.held.lock().contains_key("a"));
}

#[tokio::test]
async fn a_new_window_is_asked_for() {
    let fake = Arc::new(FakeRedis::default());
    let node = node(&fake);
    assert_eq!(take(&node).await, Ok(true));
    let place = node.place(&"a");
    assert!(node.take_known(place, &limit(), NOW + 1, false).is_some());
    assert_eq!(node.take_known(place, &limit(), NOW + 3600, false), None);
}

#[tokio::test]
async fn what_is_known_grows_old_until_all_of_it_is_exchanged() {
    let fake = Arc::new(FakeRedis::default());
    let node = node(&fake);
    assert_eq!(node.age(NOW), None, "there is nothing to exchange");
    assert_eq!(take(&node).await, Ok(true));
    assert_eq!(node.age(NOW + 2), Some(2));
    node.send(NOW + 3).await;
    assert_eq!(node.age(NOW + 4), Some(1));
    assert_eq!(take(&node).await, Ok(true));
    fake.is_away.store(true, Ordering::Relaxed);
    node.send(NOW + 5).await;
    assert_eq!(node.age(NOW + 6), Some(3));
    fake.is_away.store(false, Ordering::Relaxed);
    node.send(NOW + 7).await;
    assert_eq!(node.age(NOW + 7), Some(0));
}
