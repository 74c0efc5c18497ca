//! Counters of rate limits.

use std::sync::Arc;

use futures_util::future::join_all;
use stdx::counting::{Subject as Counted, Window};
use stdx::{Clock as _, SystemClock};
use uuid::Uuid;

use super::{Case, Subject};
use crate::Store;

pub(super) async fn cases(subject: &dyn Subject) {
    exactly_as_many_are_granted_as_fit(subject).await;
    a_full_window_leaves_the_others_as_they_are(subject).await;
    usage_is_what_was_added(subject).await;
}

fn counted(identifier: &str) -> Counted {
    Counted {
        identifier: identifier.to_owned(),
        route: Uuid::nil(),
        service: Uuid::from_u128(7),
    }
}

fn window(period: &str, start: i64, limit: f64) -> Window {
    Window {
        period: period.to_owned(),
        start,
        length: 1_000_000_000,
        limit,
    }
}

async fn take(store: &Arc<dyn Store>, identifier: &str, windows: &[Window]) -> (bool, Vec<f64>) {
    let counters = store.counters().expect("counters");
    let taken = counters.take(&counted(identifier), windows).await.unwrap();
    (taken.granted, taken.used)
}

async fn exactly_as_many_are_granted_as_fit(subject: &dyn Subject) {
    const ASKED: usize = 60;
    let case = Case::open(subject).await;
    let windows = [window("minute", 60, 40.0), window("hour", 0, 25.0)];
    let asked = (0..ASKED).map(|_| take(&case.store, "many", &windows));
    let answers = join_all(asked).await;
    let mut granted: Vec<_> = answers
        .into_iter()
        .filter_map(|(granted, used)| granted.then_some(used))
        .collect();
    granted.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let number = |n: u32| vec![f64::from(n); 2];
    let numbers: Vec<_> = (0..25).map(number).collect();
    assert_eq!(granted, numbers, "each grant has a number of its own");
    let other = take(&case.store, "another", &[window("minute", 60, 1.0)]).await;
    assert_eq!(other, (true, vec![0.0]));
}

async fn a_full_window_leaves_the_others_as_they_are(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let both = [window("second", 1, 1.0), window("hour", 0, 9.5)];
    assert_eq!(take(&case.store, "a", &both).await, (true, vec![0.0, 0.0]));
    assert_eq!(take(&case.store, "a", &both).await, (false, vec![1.0, 1.0]));
    let next = [window("second", 2, 1.0), window("hour", 0, 9.5)];
    assert_eq!(take(&case.store, "a", &next).await, (true, vec![0.0, 1.0]));
}

async fn usage_is_what_was_added(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let counters = case.store.counters().expect("counters");
    // Stores may remove what was used in windows that are long over.
    let now = SystemClock.unix_seconds();
    let windows = [
        window("video_minute", now, 1.0),
        window("video_hour", now, 1.0),
    ];
    let whose = counted("a");
    let usage = counters.usage(&whose, &windows).await;
    assert_eq!(usage.unwrap(), [0.0, 0.0]);
    counters.add_usage(&whose, &windows, 3).await.unwrap();
    counters.add_usage(&whose, &windows[..1], 4).await.unwrap();
    let usage = counters.usage(&whose, &windows).await;
    assert_eq!(usage.unwrap(), [7.0, 3.0]);
    let other = counters.usage(&counted("b"), &windows).await;
    assert_eq!(other.unwrap(), [0.0, 0.0]);
}
