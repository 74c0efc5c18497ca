use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Flow, Reply};
use serde_json::{Value, json};

use super::handler;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

fn records() -> FakeRecords {
    FakeRecords::default()
        .with("consumers", json!({ "id": ALICE, "username": "alice", "custom_id": "a-1" }))
        .with("consumers", json!({ "id": "00000000-0000-0000-0000-00000000000b", "username": "nobody" }))
        .with(
            "keyauth_credentials",
            json!({ "id": "00000000-0000-0000-0000-00000000000c", "key": "k1", "consumer": { "id": ALICE } }),
        )
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "key_names": ["apikey", "key"], "key_in_header": true, "key_in_query": true, "key_in_body": false,
        "hide_credentials": false, "run_on_preflight": true, "anonymous": null, "realm": null,
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

/// Gives the plugin its turn; the answer, if it gave one.
async fn access(config: Value, records: FakeRecords, sample: &mut Sample) -> Option<Reply> {
    let handler = build(handler::build, &config, &services(records)).expect("a handler");
    let mut exchange = sample.exchange();
    match handler
        .access(&mut exchange)
        .outcome()
        .await
        .expect("an outcome")
    {
        Flow::Next => None,
        Flow::Answer(reply) => Some(*reply),
    }
}

fn header<'a>(sample: &'a Sample, name: &str) -> Option<&'a str> {
    sample.head.headers.get_str(name)
}

#[tokio::test]
async fn a_known_key_names_the_consumer_to_the_upstream() {
    for target in ["/a", "/a?key=k1&x=1"] {
        let headers: &[_] = if target == "/a" {
            &[("APIKEY", "k1")]
        } else {
            &[]
        };
        let mut sample = Sample::new("GET", target, headers);
        assert_eq!(
            access(config(json!({})), records(), &mut sample).await,
            None
        );
        assert_eq!(header(&sample, "X-Consumer-ID"), Some(ALICE));
        assert_eq!(header(&sample, "X-Consumer-Username"), Some("alice"));
        assert_eq!(header(&sample, "X-Consumer-Custom-ID"), Some("a-1"));
        assert_eq!(
            header(&sample, "X-Credential-Identifier"),
            Some("00000000-0000-0000-0000-00000000000c")
        );
        assert_eq!(header(&sample, "X-Anonymous-Consumer"), None);
        assert!(sample.work.consumer.is_some() && sample.work.credential.is_some());
    }
}

#[tokio::test]
async fn rejects_a_missing_an_unknown_and_a_doubled_key_with_401() {
    for (target, headers, message) in [
        ("/a", &[][..], "No API key found in request"),
        ("/a?apikey=", &[][..], "No API key found in request"),
        ("/a", &[("apikey", "k2")][..], "Unauthorized"),
        ("/a?apikey=k1&apikey=k1", &[][..], "Duplicate API key found"),
        ("/a?apikey&apikey=k1", &[][..], "Duplicate API key found"),
        ("/a?apikey", &[][..], "No API key found in request"),
    ] {
        let mut sample = Sample::new("GET", target, headers);
        let reply = access(config(json!({ "realm": "r" })), records(), &mut sample).await;
        let expected =
            Reply::error(401, message).with_header("WWW-Authenticate", "Key realm=\"r\"");
        assert_eq!(reply, Some(expected));
        assert!(sample.work.consumer.is_none());
    }
}

#[tokio::test]
async fn a_dash_in_a_header_may_be_written_as_an_underscore() {
    for (header, passes) in [("Api-Key", true), ("API_KEY", true), ("ApiKey", false)] {
        let mut sample = Sample::new("GET", "/a", &[(header, "k1")]);
        let named = config(json!({ "key_names": ["api_key"], "hide_credentials": true }));
        let reply = access(named, records(), &mut sample).await;
        assert_eq!(reply.is_none(), passes, "{header}");
        assert_eq!(sample.head.headers.contains(header), !passes, "{header}");
    }
}

#[tokio::test]
async fn of_a_json_body_one_text_is_a_key() {
    const NONE: Option<&str> = Some("No API key found in request");
    const SEVERAL: Option<&str> = Some("Duplicate API key found");
    for (body, message) in [
        (json!({ "apikey": "k1" }), None),
        (json!({ "apikey": ["k1"] }), SEVERAL),
        (json!({ "apikey": { "k1": "k1" } }), SEVERAL),
        (json!({ "apikey": 1 }), NONE),
        (json!({ "apikey": 1, "key": "k1" }), None),
        (json!(["k1"]), NONE),
    ] {
        let mut sample = Sample::new("POST", "/a", &[("Content-Type", "application/json")]);
        let bytes = Bytes::from(body.to_string());
        sample.work.body_length = bytes.len() as u64;
        sample.work.body = Some(bytes);
        let open = config(json!({ "key_in_body": true }));
        let reply = access(open, records(), &mut sample).await;
        let expected =
            message.map(|text| Reply::error(401, text).with_header("WWW-Authenticate", "Key"));
        assert_eq!(reply, expected, "{body}");
    }
}

#[tokio::test]
async fn an_outage_is_503_and_never_401() {
    let mut away = records();
    away.away = true;
    let mut sample = Sample::new("GET", "/a", &[("apikey", "k1")]);
    let reply = access(config(json!({ "anonymous": "nobody" })), away, &mut sample).await;
    assert_eq!(reply.map(|reply| reply.status), Some(503));
}

#[tokio::test]
async fn hidden_credentials_do_not_reach_the_upstream() {
    let hide = || config(json!({ "hide_credentials": true }));
    let mut sample = Sample::new("GET", "/a?x=1&key=k1&y=%20", &[]);
    assert_eq!(access(hide(), records(), &mut sample).await, None);
    assert_eq!(sample.target, b"/a?x=1&y=%20");
    let mut sample = Sample::new("GET", "/a", &[("apikey", "k1")]);
    assert_eq!(access(hide(), records(), &mut sample).await, None);
    assert_eq!(header(&sample, "apikey"), None);
}

#[tokio::test]
async fn without_a_good_key_the_anonymous_consumer_stands_in() {
    let anonymous = || config(json!({ "anonymous": "nobody" }));
    let mut sample = Sample::new("GET", "/a", &[("apikey", "wrong")]);
    assert_eq!(access(anonymous(), records(), &mut sample).await, None);
    assert_eq!(header(&sample, "X-Consumer-Username"), Some("nobody"));
    assert_eq!(header(&sample, "X-Anonymous-Consumer"), Some("true"));
    assert!(sample.work.credential.is_none());
}

#[tokio::test]
async fn a_preflight_passes_if_it_need_not_authenticate() {
    let lax = config(json!({ "run_on_preflight": false }));
    let mut sample = Sample::new("OPTIONS", "/a", &[]);
    assert_eq!(access(lax, records(), &mut sample).await, None);
}
