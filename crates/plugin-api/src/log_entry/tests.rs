use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::testing::Sample;
use crate::{Consumer, Credential, Source, TryFailure};

fn summary<'a>(uri: &'a str, tries: &'a [Try]) -> Summary<'a> {
    Summary {
        status: 200,
        head: None,
        source: Source::Service,
        request_size: 52,
        response_size: 150,
        upstream_status: Some(200),
        uri,
        started_at: UNIX_EPOCH + Duration::from_millis(1500),
        latencies: crate::Latencies {
            gateway: Duration::from_millis(2),
            upstream: Some(Duration::from_millis(3)),
            request: Duration::from_millis(6),
            receive: Duration::from_millis(1),
        },
        tries,
    }
}

fn entry(sample: &mut Sample, summary: &Summary<'_>) -> Value {
    let exchange = sample.exchange();
    let mut text = Vec::new();
    LogEntry::of(&exchange, summary).write(&mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(!text.bytes().any(|byte| byte < b' '), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_entry_tells_what_was_asked_and_what_came_of_it() {
    let uri = "/x?a=1&a=2&flag&e=%22+b";
    let mut sample = Sample::new(
        "POST",
        uri,
        &[("Host", "example.test"), ("X-Two", "1"), ("x-two", "2")],
    );
    sample.target = b"/base/x?a=1&a=2&flag&e=%22+b".to_vec();
    let attempt = Try {
        address: SocketAddr::from(([10, 0, 0, 1], 8000)),
        started_at: UNIX_EPOCH + Duration::from_nanos(1_500_000_007),
        balancing: Duration::from_micros(1500),
        failed: None,
        keep_alive: true,
    };
    let written = entry(&mut sample, &summary(uri, &[attempt]));
    assert_eq!(
        written,
        json!({
            "request": {
                "id": "0123456789abcdef0123456789abcdef",
                "method": "POST",
                "uri": uri,
                "url": format!("http://example.test:80{uri}"),
                "querystring": { "a": ["1", "2"], "flag": true, "e": "\" b" },
                "headers": { "host": "example.test", "x-two": ["1", "2"] },
                "size": 52,
            },
            "upstream_uri": "/base/x?a=1&a=2&flag&e=%22+b",
            "upstream_status": "200",
            "response": { "status": 200, "headers": {}, "size": 150 },
            "latencies": { "kong": 2, "proxy": 3, "request": 6, "receive": 1 },
            "tries": [{
                "ip": "10.0.0.1",
                "port": 8000,
                "balancer_start": 1500,
                "balancer_start_ns": 1_500_000_007,
                "balancer_latency": 1,
                "balancer_latency_ns": 1_500_000,
            }],
            "client_ip": "127.0.0.1",
            "started_at": 1500,
            "source": "upstream",
        })
    );
}

#[test]
fn lines_of_a_header_are_gathered_in_their_order() {
    let headers = [
        ("Accept", "a"),
        ("X-Two", "1"),
        ("ACCEPT", "b"),
        ("Via", "v"),
        ("x-two", "2"),
        ("X-Twin", "3"),
        ("accept", "c"),
    ];
    let mut sample = Sample::new("GET", "/", &headers);
    let written = entry(&mut sample, &summary("/", &[]));
    assert_eq!(
        written["request"]["headers"],
        json!({ "accept": ["a", "b", "c"], "x-two": ["1", "2"], "via": "v", "x-twin": "3" })
    );
}

#[test]
fn credentials_are_not_written_down() {
    let headers = [
        ("Authorization", "Basic Ym9iOnB3"),
        ("authorization", "Bearer secret"),
        ("Proxy-Authorization", "Bearer secret"),
    ];
    let mut sample = Sample::new("GET", "/", &headers);
    let record = json!({ "id": "7", "key": "secret" });
    sample.work.credential = Some(std::sync::Arc::new(Credential {
        id: "7".into(),
        identifier: None,
        record: record.as_object().cloned().map(std::sync::Arc::new),
    }));
    let written = entry(&mut sample, &summary("/", &[]));
    assert_eq!(
        written["request"]["headers"],
        json!({ "authorization": "REDACTED", "proxy-authorization": "REDACTED" })
    );
    assert_eq!(written["authenticated_entity"], json!({ "id": "7" }));
    assert!(!written.to_string().contains("secret"), "{written}");
}

#[test]
fn a_consumer_is_written_without_what_it_does_not_have() {
    let mut sample = Sample::new("GET", "/", &[]);
    let id = Uuid::from_u128(4);
    let record = json!({ "id": id.to_string(), "username": "bob", "custom_id": null });
    let record = record.as_object().cloned().unwrap();
    let consumer = Consumer::read(std::sync::Arc::new(record)).unwrap();
    sample.work.consumer = Some(std::sync::Arc::new(consumer));
    let written = entry(&mut sample, &summary("/", &[]));
    assert_eq!(
        written["consumer"],
        json!({ "id": id.to_string(), "username": "bob" })
    );
}

#[test]
fn every_attempt_has_a_status() {
    let failed = |code| Try {
        address: SocketAddr::from(([10, 0, 0, 1], 8000)),
        started_at: UNIX_EPOCH,
        balancing: Duration::ZERO,
        failed: Some(TryFailure { code }),
        keep_alive: false,
    };
    let tries = [failed(502), failed(504)];
    let mut summary = summary("/", &tries);
    summary.upstream_status = None;
    let written = entry(&mut Sample::new("GET", "/", &[]), &summary);
    assert_eq!(written["upstream_status"], "502, 504");
    assert_eq!(written["tries"][1]["state"], "failed");
    assert_eq!(written["tries"][1]["code"], 504);
}

#[test]
fn what_no_route_took_has_no_tries_and_nothing_was_asked_upstream() {
    let mut sample = Sample::new("GET", "/nowhere?x=1", &[]);
    sample.route = None;
    sample.service = None;
    sample.target.clear();
    let mut summary = summary("/nowhere?x=1", &[]);
    summary.upstream_status = None;
    summary.latencies.upstream = None;
    let written = entry(&mut sample, &summary);
    assert_eq!(written.get("tries"), None);
    assert_eq!(written["upstream_uri"], "");
    assert_eq!(written["upstream_status"], "");
    assert_eq!(written["latencies"]["proxy"], -1);
    assert_eq!(written["request"]["querystring"], json!({ "x": "1" }));
}

#[test]
fn log_injection_bytes_of_a_client_never_break_an_entry() {
    let mut sample = Sample::new("GET", "/", &[]);
    let value: &[u8] = b"a\"}\\\t\xff\xc3(\xe2\x80\xa8 ,{\"source\":\"forged\"";
    sample.head.headers.append("X-Bad", value).unwrap();
    sample.target = b"/?%0a%0d%00=%ff%0aforged&%22=%5c".to_vec();
    let written = entry(&mut sample, &summary("/?%0a", &[]));
    assert_eq!(
        written["request"]["headers"]["x-bad"],
        "a\"}\\\t\u{fffd}\u{fffd}(\u{2028} ,{\"source\":\"forged\""
    );
    let query = written["request"]["querystring"].as_object().unwrap();
    assert_eq!(query["\n\r\0"], "\u{fffd}\nforged");
    assert_eq!(query["\""], "\\");
    assert_eq!(written["source"], "upstream");
}

#[test]
fn an_entry_tells_a_hundred_headers_and_arguments_at_most() {
    let mut sample = Sample::new("GET", "/", &[]);
    for number in 0..300 {
        let name = format!("x-{number}");
        sample.head.headers.append(name.as_str(), "1").unwrap();
    }
    let query: Vec<String> = (0..300).map(|number| format!("a{number}=1")).collect();
    sample.target = format!("/?{}", query.join("&")).into_bytes();
    let written = entry(&mut sample, &summary("/", &[]));
    assert_eq!(
        written["request"]["headers"].as_object().unwrap().len(),
        MOST
    );
    assert_eq!(
        written["request"]["querystring"].as_object().unwrap().len(),
        MOST
    );
}

#[test]
fn edits_set_add_replace_and_remove_members() {
    let edit = |path: &'static str, value: Option<Value>, mode| LogEdit {
        path: path.into(),
        value,
        mode,
    };
    let mut entry = json!({ "request": { "uri": "/x", "method": "GET" } });
    let map = entry.as_object_mut().unwrap();
    for edit in [
        edit("my.deep", Some(json!({ "n": 1 })), LogMode::Always),
        edit("request.uri", Some(json!("hidden")), LogMode::Always),
        edit("request.method", Some(json!("no")), LogMode::Add),
        edit("nope", Some(json!(1)), LogMode::Replace),
        edit("nope.deep", Some(json!(1)), LogMode::Replace),
        edit("request.uri.deeper", Some(json!(1)), LogMode::Always),
        edit("my.deep.n", Some(json!(2)), LogMode::Replace),
        edit("gone", None, LogMode::Always),
    ] {
        edit.apply(map);
    }
    assert_eq!(
        entry,
        json!({
            "request": { "uri": "hidden", "method": "GET" },
            "my": { "deep": { "n": 2 } },
        })
    );
}
