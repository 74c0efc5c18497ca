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
