use plugin_api::Flow;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use serde_json::{Value, json};

use super::handler;

/// The status of the refusal, if there is one.
async fn refusal(config: &Value, headers: &[(&str, &str)]) -> Option<u16> {
    let services = services(FakeRecords::default());
    let handler = build(handler::build, config, &services).expect("a handler");
    let mut sample = Sample::new("GET", "/", headers);
    let mut exchange = sample.exchange();
    match handler.access(&mut exchange).outcome().await {
        Ok(Flow::Next) => None,
        Ok(Flow::Answer(reply)) => Some(reply.status),
        Err(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn bots_are_known_and_browsers_are_let_through() {
    let config = json!({ "allow": [], "deny": [] });
    for (agent, expected) in [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            None,
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36",
            None,
        ),
        ("curl/8.0", None),
        ("", None),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            Some(403),
        ),
        (
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            Some(403),
        ),
        ("facebookexternalhit/1.1", Some(403)),
        ("Twitterbot/1.0", Some(403)),
        ("Python-urllib/2.7", Some(403)),
        ("SomeNewBot/0.1", Some(403)),
        ("acme crawler", Some(403)),
    ] {
        assert_eq!(
            refusal(&config, &[("User-Agent", agent)]).await,
            expected,
            "{agent}"
        );
    }
    assert_eq!(refusal(&config, &[]).await, None);
    let two = [("User-Agent", "a"), ("User-Agent", "b")];
    assert_eq!(refusal(&config, &two).await, Some(400));
}

#[tokio::test]
async fn allow_wins_over_deny_and_deny_adds_to_what_is_known() {
    let config =
        json!({ "allow": ["^Twitterbot", "friend"], "deny": ["friend", "^Evil", "scan(ner)?$"] });
    for (agent, expected) in [
        ("Twitterbot/1.0", None),
        ("friend", None),
        ("Evil 1", Some(403)),
        ("port scanner", Some(403)),
        ("good", None),
    ] {
        assert_eq!(
            refusal(&config, &[("User-Agent", agent)]).await,
            expected,
            "{agent}"
        );
    }
}
