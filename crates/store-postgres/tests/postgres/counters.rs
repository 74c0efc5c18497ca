//! Counters of rate limits: rows as Kong writes them, and their end.

use std::time::Duration;

use stdx::counting::{Subject, Window};
use stdx::{Clock as _, SystemClock};
use store::Store as _;
use store_postgres::{Options, PostgresStore};
use uuid::Uuid;

use crate::kong::core;
use crate::server::Server;

fn subject() -> Subject {
    Subject {
        identifier: "10.0.0.1".to_owned(),
        route: Uuid::nil(),
        service: Uuid::from_u128(5),
    }
}

/// A window that began long enough ago to be over soon, and not so long ago that its rows are removed.
fn window(period: &str) -> Window {
    let now = SystemClock.unix_seconds();
    Window {
        period: period.to_owned(),
        start: now - now % 600,
        length: 60,
        limit: 10.0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kong_has_counted_is_counted_on() {
    let server = Server::start();
    let name = server.bootstrapped(&core()).await;
    let client = server.client(&name).await;
    let store = PostgresStore::open(core(), server.options(&name)).unwrap();
    let counters = store.counters().unwrap();
    // As a node of Kong does it.
    let (minute, video) = (window("minute"), [window("video_minute")]);
    let start = minute.start;
    let by_kong = format!(
        "SET TIME ZONE 'UTC';
        INSERT INTO ratelimiting_metrics (identifier, period, period_date, service_id, route_id, value, ttl)
        VALUES ('10.0.0.1', 'minute', TO_TIMESTAMP('{start}') AT TIME ZONE 'UTC',
            '00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000000', 9,
            CURRENT_TIMESTAMP AT TIME ZONE 'UTC' + INTERVAL '60 second');
        INSERT INTO response_ratelimiting_metrics (identifier, period, period_date, service_id, route_id, value)
        VALUES ('10.0.0.1', 'video_minute', TO_TIMESTAMP('{start}') AT TIME ZONE 'UTC',
            '00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000000', 4)"
    );
    client.batch_execute(&by_kong).await.unwrap();
    for granted in [true, false] {
        let taken = counters
            .take(&subject(), std::slice::from_ref(&minute))
            .await;
        assert_eq!(taken.unwrap().granted, granted);
    }
    counters.add_usage(&subject(), &video, 3).await.unwrap();
    assert_eq!(counters.usage(&subject(), &video).await.unwrap(), [7.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_of_windows_that_are_over_is_removed() {
    let server = Server::start();
    let name = server.bootstrapped(&core()).await;
    let client = server.client(&name).await;
    let fill =
        "INSERT INTO response_ratelimiting_metrics (identifier, period, period_date, value) VALUES
        ('old', 'a_b_second', now() - interval '2 minutes', 1),
        ('old', 'a_b_minute', now() - interval '2 hours', 1),
        ('old', 'video_year', now() - interval '400 days', 1),
        ('kept', 'video_second', now(), 1),
        ('kept', 'video_minute', now() - interval '59 seconds', 1),
        ('kept', 'video_year', now() - interval '364 days', 1)";
    client.batch_execute(fill).await.unwrap();
    let options = Options {
        poll: Duration::from_millis(20),
        ..server.options(&name)
    };
    let _store = PostgresStore::open(core(), options).unwrap();
    let left = "SELECT string_agg(identifier, ' ') FROM response_ratelimiting_metrics";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let row = client.query_one(left, &[]).await.unwrap();
        let left: String = row.get(0);
        if left == "kept kept kept" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "left: {left}");
        tokio::task::yield_now().await;
    }
}
