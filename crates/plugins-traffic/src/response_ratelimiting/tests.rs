use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http1::Framing;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{
    Flow, Handler, HeaderEdit, Latencies, Page, Reply, ResponseHead, Services, Source, Summary,
};
use serde_json::{Value, json};
use stdx::ManualClock;

use super::handler;

fn config(more: Value) -> Value {
    let none = json!({ "second": null, "minute": null, "hour": null, "day": null, "month": null, "year": null });
    let mut config = json!({
        "header_name": "x-kong-limit", "limit_by": "consumer", "policy": "local", "fault_tolerant": true,
        "block_on_first_violation": false, "hide_client_headers": false, "limits": {},
        "redis": {
            "host": null, "port": 6379, "timeout": 2000, "username": null, "password": null, "database": 0,
            "ssl": false, "ssl_verify": false, "server_name": null,
        },
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    for (_, limit) in config["limits"].as_object_mut().expect("limits") {
        let mut all = none.clone();
        for (period, most) in limit.as_object().expect("a limit") {
            all[period] = most.clone();
        }
        *limit = all;
    }
    config
}

fn at_noon() -> Services {
    let mut services = services(FakeRecords::default());
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_212_455);
    services.clock = Arc::new(ManualClock::at(start));
    services
}

/// What a client saw.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    has_body: bool,
    headers: Vec<(String, String)>,
}

/// Sends one request whose answer says what it used.
async fn request(handler: &Arc<dyn Handler>, used: &[&str]) -> Result<Seen, Reply> {
    let mut sample = Sample::new("GET", "/", &[]);
    let outcome = handler.access(&mut sample.exchange()).outcome().await;
    if let Flow::Answer(reply) = outcome.expect("an outcome") {
        return Err(*reply);
    }
    let mut head = ResponseHead::new(200, Framing::Length(5));
    for used in used {
        head.headers.append("X-Kong-Limit", used).expect("a header");
    }
    for edit in std::mem::take(&mut sample.work.answer_headers) {
        assert!(matches!(edit, HeaderEdit::Set(..)));
        edit.apply(&mut head).expect("an edit");
    }
    let filtered = handler.header_filter(&mut sample.exchange(), &mut head);
    filtered.expect("a filtered head");
    let summary = Summary {
        status: head.status(),
        head: None,
        source: Source::Service,
        request_size: 0,
        response_size: 0,
        upstream_status: Some(200),
        uri: "/",
        started_at: SystemTime::UNIX_EPOCH,
        latencies: Latencies::default(),
        tries: &[],
    };
    handler.log(&mut sample.exchange(), &summary);
    let headers = head.headers.iter().map(|field| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(field.name), text(field.value))
    });
    Ok(Seen {
        status: head.status(),
        has_body: !sample.work.drops_body,
        headers: headers.filter(|(name, _)| name.starts_with("X-")).collect(),
    })
}

fn limiting(more: Value, services: &Services) -> Arc<dyn Handler> {
    build(handler::build, &config(more), services).expect("a handler")
}

fn seen(status: u16, headers: &[(&str, &str)]) -> Result<Seen, Reply> {
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    headers.sort();
    Ok(Seen {
        status,
        has_body: status == 200,
        headers,
    })
}

fn sorted(seen: Result<Seen, Reply>) -> Result<Seen, Reply> {
    seen.map(|mut seen| {
        seen.headers.sort();
        seen
    })
}

#[tokio::test]
async fn what_answers_use_is_counted_until_nothing_is_left() {
    let handler = limiting(
        json!({ "limits": { "video": { "minute": 5 } } }),
        &at_noon(),
    );
    for (used, status, before, after) in [
        ("video=3", 200, "5", "2"),
        ("video=1", 200, "2", "1"),
        (" video = 9 ", 200, "1", "0"),
        ("video=1", 429, "-8", "0"),
        ("other=1", 200, "-8", "0"),
    ] {
        let expected = seen(
            status,
            &[
                ("X-RateLimit-Limit-video-minute", "5"),
                ("X-RateLimit-Remaining-video", before),
                ("X-RateLimit-Remaining-video-minute", after),
            ],
        );
        assert_eq!(sorted(request(&handler, &[used]).await), expected, "{used}");
    }
}

#[tokio::test]
async fn names_are_counted_apart_and_the_tightest_limit_is_told() {
    let limits =
        json!({ "limits": { "video": { "minute": 1 }, "image": { "minute": 9, "hour": 9.5 } } });
    let handler = limiting(limits, &at_noon());
    let expected = seen(
        200,
        &[
            ("X-RateLimit-Limit-image-hour", "9.5"),
            ("X-RateLimit-Limit-image-minute", "9"),
            ("X-RateLimit-Limit-video-minute", "1"),
            ("X-RateLimit-Remaining-image", "9"),
            ("X-RateLimit-Remaining-image-hour", "7.5"),
            ("X-RateLimit-Remaining-image-minute", "7"),
            ("X-RateLimit-Remaining-video", "1"),
            ("X-RateLimit-Remaining-video-minute", "0"),
        ],
    );
    let used = ["video=1, image=nothing", "image=2"];
    assert_eq!(sorted(request(&handler, &used).await), expected);
    let refused = request(&handler, &["video=1"])
        .await
        .map(|seen| seen.status);
    assert_eq!(refused, Ok(429));
    let other = request(&handler, &["image=1"])
        .await
        .map(|seen| seen.status);
    assert_eq!(other, Ok(200));
}

#[tokio::test]
async fn an_answer_that_was_withheld_is_not_counted() {
    let services = at_noon();
    let handler = limiting(json!({ "limits": { "video": { "hour": 1 } } }), &services);
    for status in [200, 429, 429] {
        let answer = request(&handler, &["video=1"]).await.expect("an answer");
        assert_eq!(answer.status, status);
    }
    let answer = request(&handler, &["video=0"]).await.expect("an answer");
    let left = ("X-RateLimit-Remaining-video".to_owned(), "0".to_owned());
    assert!(answer.headers.contains(&left), "{answer:?}");
    let mut page = Page::default();
    services.metrics.write(&mut page);
    let page = page.finish(metrics::Format::Text);
    for outcome in ["outcome=\"passed\"} 2\n", "outcome=\"limited\"} 2\n"] {
        assert!(page.contains(outcome), "{page}");
    }
}

#[tokio::test]
async fn requests_are_refused_at_the_first_violation_if_that_is_wanted() {
    let settings = json!({
        "block_on_first_violation": true, "limits": { "video": { "minute": 1 }, "image": { "minute": 5 } },
    });
    let handler = limiting(settings, &at_noon());
    assert!(request(&handler, &["video=3"]).await.is_ok());
    let message = "API rate limit exceeded for 'video'";
    assert_eq!(
        request(&handler, &["image=1"]).await,
        Err(Reply::error(429, message))
    );
}

#[tokio::test]
async fn hidden_limits_show_only_what_is_left() {
    let settings = json!({ "hide_client_headers": true, "limits": { "video": { "minute": 1 } } });
    let handler = limiting(settings, &at_noon());
    let expected = seen(200, &[("X-RateLimit-Remaining-video", "1")]);
    assert_eq!(sorted(request(&handler, &["video=1"]).await), expected);
}

#[tokio::test]
async fn a_name_that_is_no_header_is_counted_and_not_told() {
    let handler = limiting(json!({ "limits": { "a b": { "minute": 1 } } }), &at_noon());
    assert_eq!(sorted(request(&handler, &["a b=1"]).await), seen(200, &[]));
    assert_eq!(sorted(request(&handler, &["a b=1"]).await), seen(429, &[]));
}

#[tokio::test]
async fn clients_are_counted_by_their_addresses() {
    let services = at_noon();
    let settings = json!({ "limit_by": "ip", "block_on_first_violation": true, "limits": { "v": { "minute": 1 } } });
    let handler = limiting(settings, &services);
    assert!(request(&handler, &["v=1"]).await.is_ok());
    assert!(request(&handler, &[]).await.is_err());
    let mut elsewhere = Sample::new("GET", "/", &[]);
    elsewhere.connection.client = Some(SocketAddr::from(([10, 0, 0, 1], 1)));
    let outcome = handler.access(&mut elsewhere.exchange()).outcome().await;
    assert!(matches!(outcome, Ok(Flow::Next)));
}

#[tokio::test]
async fn without_counters_answers_stay_as_they_are_or_requests_fail() {
    for policy in ["cluster", "redis"] {
        let settings = |tolerant: bool| json!({ "policy": policy, "fault_tolerant": tolerant, "limits": { "v": { "minute": 1 } } });
        let handler = limiting(settings(true), &at_noon());
        let untouched = seen(200, &[("X-Kong-Limit", "v=1")]);
        assert_eq!(request(&handler, &["v=1"]).await, untouched);
        let handler = limiting(settings(false), &at_noon());
        let mut sample = Sample::new("GET", "/", &[]);
        let outcome = handler.access(&mut sample.exchange()).outcome().await;
        assert!(outcome.is_err());
    }
}
