use std::sync::Arc;

use plugin_api::testing::{Outside, Sample, build, header, says};
use plugin_api::{Body, Flow, NetworkError, Reply};
use serde_json::{Value, json};

use super::handler;

fn config(more: Value) -> Value {
    let mut config = json!({
        "timeout": 600_000, "keepalive": 60_000, "https": true, "https_verify": false,
        "appname": "app", "hostdomain": "functions.test", "routeprefix": "api", "functionname": "hello",
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

async fn call(outside: &Arc<Outside>, more: Value, sample: &mut Sample) -> Reply {
    let handler = build(handler::build, &config(more), &outside.services()).expect("a handler");
    match handler.access(&mut sample.exchange()).outcome().await {
        Ok(Flow::Answer(reply)) => *reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_function_gets_what_the_client_sent_and_the_keys() {
    let outside = Outside::new(|_| says(200, &[], "done"));
    let mut sample = Sample::new(
        "POST",
        "/path/is/not/sent?a=1&b=%20|",
        &[
            ("Host", "gateway.test"),
            ("X-One", "1"),
            ("Connection", "keep-alive"),
            ("X-Functions-Key", "a client's"),
            ("X-Functions-ClientId", "a client's"),
        ],
    );
    sample.work.body = Some("hi".into());
    sample.work.body_length = 2;
    let keys = json!({ "apikey": "k", "https_verify": true, "routeprefix": "/p/q/", "functionname": "/f/" });
    call(&outside, keys, &mut sample).await;
    let asked = outside.take_asked().remove(0);
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.url, "https://app.functions.test/p/q/f?a=1&b=%20%7C");
    assert_eq!(&asked.body[..], b"hi");
    assert_eq!(header(&asked.headers, "x-functions-key"), Some("k"));
    for absent in ["x-functions-clientid", "host", "connection"] {
        assert_eq!(header(&asked.headers, absent), None, "{absent}");
    }
    assert_eq!(header(&asked.headers, "X-One"), Some("1"));
    assert!(asked.tls.verify);
}

#[tokio::test]
async fn the_url_has_no_prefix_where_none_is_set() {
    let outside = Outside::new(|_| says(200, &[], ""));
    let mut sample = Sample::new("GET", "/", &[]);
    let plain = json!({ "https": false, "routeprefix": "", "functionname": "a b" });
    call(&outside, plain, &mut sample).await;
    let asked = outside.take_asked().remove(0);
    assert_eq!(asked.url, "http://app.functions.test/a%20b");
    assert!(!asked.tls.verify);
}

#[tokio::test]
async fn the_answer_goes_on_without_what_belongs_to_its_connection() {
    let outside = Outside::new(|_| {
        let headers = [
            ("x-two", "2"),
            ("via", "1.1 front"),
            ("server", "Kestrel"),
            ("date", "today"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
        ];
        says(418, &headers, "body")
    });
    let mut sample = Sample::new("GET", "/", &[]);
    let reply = call(&outside, json!({}), &mut sample).await;
    assert_eq!(
        (reply.status, &reply.body),
        (418, &Body::Bytes("body".into()))
    );
    assert_eq!(
        reply.headers,
        [
            ("x-two".into(), b"2".to_vec()),
            ("Via".into(), b"1.1 front, 1.1 silverback/test".to_vec()),
        ]
    );
}

#[tokio::test]
async fn a_function_that_is_away_is_500_and_a_body_that_is_too_long_413() {
    let outside = Outside::new(|_| Err(NetworkError::Timeout));
    let mut sample = Sample::new("GET", "/", &[]);
    let reply = call(&outside, json!({}), &mut sample).await;
    assert_eq!(reply, Reply::message(500, "An unexpected error occurred"));
    sample.work.body_length = 1 << 30;
    let reply = call(&outside, json!({}), &mut sample).await;
    assert_eq!(reply.status, 413);
}

#[test]
fn times_that_are_none_are_refused_by_name() {
    let outside = Outside::new(|_| Err(NetworkError::Timeout));
    for (name, time) in [
        ("timeout", 0.0),
        ("timeout", -1.0),
        ("keepalive", -1.0),
        ("timeout", 1e300),
    ] {
        let failed = build(
            handler::build,
            &config(json!({ name: time })),
            &outside.services(),
        );
        let text = failed.err().expect("a refusal").to_string();
        assert!(text.starts_with(name), "{text}");
    }
}
