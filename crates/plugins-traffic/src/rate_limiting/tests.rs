use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plugin_api::testing::{self, FakeRecords, Sample, build, services};
use plugin_api::{
    BoxFuture, Counters, Credential, Entity, Flow, Handler, HeaderEdit, Page, Reply, Services,
    Unavailable,
};
use serde_json::{Value, json};
use stdx::ManualClock;
use stdx::counting::{Subject, Taken, Window};
use uuid::Uuid;

use super::handler;

/// 2024-02-29 13:14:15.
const NOW: u64 = 1_709_212_455;

fn config(more: Value) -> Value {
    let mut config = json!({
        "second": null, "minute": null, "hour": null, "day": null, "month": null, "year": null,
        "limit_by": "consumer", "header_name": null, "path": null, "policy": "local", "fault_tolerant": true,
        "hide_client_headers": false, "error_code": 429, "error_message": "API rate limit exceeded",
        "sync_rate": -1,
        "redis": {
            "host": null, "port": 6379, "timeout": 2000, "username": null, "password": null, "database": 0,
            "ssl": false, "ssl_verify": false, "server_name": null,
        },
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

fn at(seconds: u64) -> (Services, Arc<ManualClock>) {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let clock = Arc::new(ManualClock::at(start));
    let mut services = services(FakeRecords::default());
    services.clock = clock.clone();
    (services, clock)
}

fn limiting(more: Value, services: &Services) -> Arc<dyn Handler> {
    build(handler::build, &config(more), services).expect("a handler")
}

async fn access(handler: &Arc<dyn Handler>, sample: &mut Sample) -> Option<Reply> {
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    match outcome.expect("an outcome") {
        Flow::Next => None,
        Flow::Answer(reply) => Some(*reply),
    }
}

/// Whether a request passes that is like any other.
async fn passes(handler: &Arc<dyn Handler>) -> bool {
    access(handler, &mut Sample::new("GET", "/", &[]))
        .await
        .is_none()
}

fn told(sample: &Sample) -> Vec<(String, String)> {
    let edits = sample.work.answer_headers.iter();
    edits
        .map(|edit| match edit {
            HeaderEdit::Set(name, value) => (
                name.to_string(),
                String::from_utf8_lossy(value).into_owned(),
            ),
            HeaderEdit::SetKnown(name, value) => (
                name.name().to_owned(),
                String::from_utf8_lossy(value).into_owned(),
            ),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn clients_learn_of_every_window_and_of_the_tightest() {
    let (services, _) = at(NOW);
    let handler = limiting(json!({ "minute": 2, "hour": 100.5 }), &services);
    let mut sample = Sample::new("GET", "/", &[]);
    assert_eq!(access(&handler, &mut sample).await, None);
    assert_eq!(
        told(&sample),
        pairs(&[
            ("X-RateLimit-Limit-Minute", "2"),
            ("X-RateLimit-Remaining-Minute", "1"),
            ("X-RateLimit-Limit-Hour", "100.5"),
            ("X-RateLimit-Remaining-Hour", "99.5"),
            ("RateLimit-Limit", "2"),
            ("RateLimit-Remaining", "1"),
            ("RateLimit-Reset", "45"),
        ])
    );
    assert!(passes(&handler).await);
    let mut sample = Sample::new("GET", "/", &[]);
    let reply = access(&handler, &mut sample).await;
    assert_eq!(reply, Some(Reply::error(429, "API rate limit exceeded")));
    assert_eq!(
        told(&sample),
        pairs(&[
            ("X-RateLimit-Limit-Minute", "2"),
            ("X-RateLimit-Remaining-Minute", "0"),
            ("X-RateLimit-Limit-Hour", "100.5"),
            ("X-RateLimit-Remaining-Hour", "98.5"),
            ("RateLimit-Limit", "2"),
            ("RateLimit-Remaining", "0"),
            ("RateLimit-Reset", "45"),
            ("Retry-After", "45"),
        ])
    );
}

#[tokio::test]
async fn of_two_full_windows_the_longer_one_counts() {
    let (services, _) = at(NOW);
    let handler = limiting(json!({ "second": 1, "day": 1 }), &services);
    assert!(passes(&handler).await);
    let mut sample = Sample::new("GET", "/", &[]);
    assert!(access(&handler, &mut sample).await.is_some());
    let reset = pairs(&[("RateLimit-Reset", "38745"), ("Retry-After", "38745")]);
    assert!(reset.iter().all(|header| told(&sample).contains(header)));
}

#[tokio::test]
async fn a_window_ends_when_the_calendar_says() {
    let (services, clock) = at(NOW);
    let handler = limiting(json!({ "minute": 1 }), &services);
    assert!(passes(&handler).await);
    assert!(!passes(&handler).await);
    clock.advance(Duration::from_secs(44));
    assert!(!passes(&handler).await);
    clock.advance(Duration::from_secs(1));
    assert!(passes(&handler).await);
}

#[tokio::test]
async fn counts_survive_a_change_of_the_configuration() {
    let (services, _) = at(NOW);
    let before = limiting(json!({ "minute": 1 }), &services);
    assert!(passes(&before).await);
    drop(before);
    let after = limiting(json!({ "minute": 2 }), &services);
    assert!(passes(&after).await);
    assert!(!passes(&after).await);
}

#[tokio::test]
async fn a_refusal_says_what_the_configuration_says() {
    let (services, _) = at(NOW);
    let settings = json!({
        "minute": 1, "error_code": 404, "error_message": "gone", "hide_client_headers": true,
    });
    let handler = limiting(settings, &services);
    assert!(passes(&handler).await);
    let mut sample = Sample::new("GET", "/", &[]);
    assert_eq!(
        access(&handler, &mut sample).await,
        Some(Reply::error(404, "gone"))
    );
    assert_eq!(told(&sample), []);
    let refused = build(
        handler::build,
        &config(json!({ "minute": 1, "error_code": 1000 })),
        &services,
    );
    assert!(refused.is_err());
}

/// The samples that are counted together with the first one.
async fn counted_together(settings: Value, samples: &mut [Sample]) -> Vec<bool> {
    let (services, _) = at(NOW);
    let mut together = Vec::new();
    for sample in samples {
        let mut more = settings.clone();
        more["minute"] = json!(1);
        let handler = limiting(more, &services);
        together.push(access(&handler, sample).await.is_some());
    }
    together
}

fn sample_of(consumer: Option<u128>, credential: Option<&str>, headers: &[(&str, &str)]) -> Sample {
    let mut sample = Sample::new("GET", "/a?x=1", headers);
    sample.work.consumer = consumer
        .and_then(|id| testing::consumer(&json!({ "id": Uuid::from_u128(id).to_string() })));
    sample.work.credential = credential.map(|id| {
        Arc::new(Credential {
            id: id.into(),
            identifier: None,
            record: None,
        })
    });
    sample
}

#[tokio::test]
async fn consumers_are_counted_apart_and_strangers_by_their_address() {
    let mut samples = [
        sample_of(Some(1), Some("a"), &[]),
        sample_of(Some(1), Some("b"), &[]),
        sample_of(Some(2), Some("a"), &[]),
        sample_of(None, Some("a"), &[]),
        sample_of(None, None, &[]),
        sample_of(None, None, &[]),
    ];
    let together = counted_together(json!({ "limit_by": "consumer" }), &mut samples).await;
    assert_eq!(together, [false, true, false, false, false, true]);
}

#[tokio::test]
async fn credentials_headers_paths_services_and_addresses_are_counted_apart() {
    let mut samples = [
        sample_of(Some(1), Some("a"), &[]),
        sample_of(Some(1), Some("b"), &[]),
        sample_of(Some(2), Some("a"), &[]),
    ];
    let together = counted_together(json!({ "limit_by": "credential" }), &mut samples).await;
    assert_eq!(together, [false, false, true]);

    let by_header = json!({ "limit_by": "header", "header_name": "x-tenant" });
    let mut samples = [
        sample_of(None, None, &[("X-Tenant", "a")]),
        sample_of(None, None, &[("X-Tenant", "b")]),
        sample_of(None, None, &[]),
        sample_of(Some(3), None, &[]),
        sample_of(None, None, &[("X-Tenant", "a"), ("X-Tenant", "c")]),
    ];
    let together = counted_together(by_header, &mut samples).await;
    assert_eq!(together, [false, false, false, true, true]);

    let by_path = json!({ "limit_by": "path", "path": "/a" });
    let mut samples = [
        Sample::new("GET", "/a?x=2", &[]),
        Sample::new("GET", "/b", &[]),
        Sample::new("GET", "/b/../%61", &[]),
        Sample::new("GET", "/c", &[]),
    ];
    let together = counted_together(by_path, &mut samples).await;
    assert_eq!(together, [false, false, true, true]);

    let mut samples = [
        sample_of(Some(1), None, &[]),
        sample_of(Some(2), None, &[]),
        sample_of(Some(1), None, &[]),
    ];
    samples[2].service = Some(Entity {
        id: Uuid::from_u128(77),
        name: None,
    });
    let together = counted_together(json!({ "limit_by": "service" }), &mut samples).await;
    assert_eq!(together, [false, true, false]);

    let mut samples = [sample_of(Some(1), None, &[]), sample_of(Some(2), None, &[])];
    samples[1].connection.client = Some(([127, 0, 0, 1], 5).into());
    let together = counted_together(json!({ "limit_by": "ip" }), &mut samples).await;
    assert_eq!(together, [false, true]);
}

/// A database that grants what it has.
struct Granting(Taken);

impl Counters for Granting {
    fn take(
        &self,
        subject: Subject,
        windows: Vec<Window>,
    ) -> BoxFuture<Result<Taken, Unavailable>> {
        assert_eq!(subject.identifier, "127.0.0.1");
        assert_eq!(
            (&*windows[0].period, windows[0].start),
            ("minute", 1_709_212_440)
        );
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn add_usage(&self, _: Subject, _: Vec<Window>, _: i64) -> BoxFuture<Result<(), Unavailable>> {
        panic!("requests have no usage")
    }

    fn usage(&self, _: Subject, _: Vec<Window>) -> BoxFuture<Result<Vec<f64>, Unavailable>> {
        panic!("requests have no usage")
    }
}

#[tokio::test]
async fn the_database_decides_with_policy_cluster() {
    let (mut services, _) = at(NOW);
    for (granted, used, left) in [(true, 3.0, "1"), (false, 5.0, "0")] {
        let used = vec![used];
        services.counters = Arc::new(Granting(Taken { granted, used }));
        let handler = limiting(json!({ "minute": 5, "policy": "cluster" }), &services);
        let mut sample = Sample::new("GET", "/", &[]);
        assert_eq!(access(&handler, &mut sample).await.is_none(), granted);
        assert!(told(&sample).contains(&pairs(&[("RateLimit-Remaining", left)])[0]));
    }
}

#[tokio::test]
async fn without_counters_requests_pass_untold_or_fail() {
    let (services, _) = at(NOW);
    for policy in ["cluster", "redis"] {
        for sync_rate in [-1.0, 0.5] {
            let settings = |fault_tolerant: bool| {
                json!({
                    "minute": 1, "policy": policy, "sync_rate": sync_rate, "fault_tolerant": fault_tolerant,
                })
            };
            let tolerant = limiting(settings(true), &services);
            for _ in 0..3 {
                let mut sample = Sample::new("GET", "/", &[]);
                assert_eq!(access(&tolerant, &mut sample).await, None);
                assert_eq!(told(&sample), []);
            }
            let strict = limiting(settings(false), &services);
            let mut sample = Sample::new("GET", "/", &[]);
            let outcome = strict.access(&mut sample.exchange()).outcome().await;
            assert!(outcome.is_err(), "{policy} {sync_rate}");
        }
    }
}

#[tokio::test]
async fn the_metrics_page_tells_what_became_of_requests() {
    let (services, _) = at(NOW);
    let local = limiting(json!({ "minute": 1 }), &services);
    assert!(passes(&local).await);
    assert!(!passes(&local).await);
    assert!(!passes(&local).await);
    for fault_tolerant in [true, false] {
        let settings =
            json!({ "minute": 1, "policy": "cluster", "fault_tolerant": fault_tolerant });
        let shared = limiting(settings, &services);
        let mut sample = Sample::new("GET", "/", &[]);
        let outcome = shared.access(&mut sample.exchange()).outcome().await;
        assert_eq!(outcome.is_ok(), fault_tolerant);
    }
    let mut page = Page::default();
    services.metrics.write(&mut page);
    let page = page.finish(metrics::Format::Text);
    for (policy, outcome, count) in [
        ("local", "passed", 1),
        ("local", "limited", 2),
        ("local", "unlimited", 0),
        ("cluster", "unlimited", 1),
        ("cluster", "failed", 1),
    ] {
        let line = format!(
            "silverback_ratelimit_requests_total{{plugin=\"rate-limiting\",policy=\"{policy}\",outcome=\"{outcome}\"}} {count}\n"
        );
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(!page.contains("sync_age"), "nothing is exchanged");
}
