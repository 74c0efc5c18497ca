use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{
    Background, BoxFuture, Consumer, Credential, Flow, HeaderEdit, ResponseHead, Services,
};
use serde_json::{Value, json};
use stdx::ManualClock;

use super::handler;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

/// Runs what plugins leave for later.
struct Soon;

impl Background for Soon {
    fn spawn(&self, future: BoxFuture<()>) {
        tokio::spawn(future);
    }

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }

    fn stopping(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// Keeps what plugins leave for later until it is asked to go on.
#[derive(Default)]
struct Later(Mutex<Vec<BoxFuture<()>>>);

impl Later {
    async fn go_on(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap());
        for future in waiting {
            future.await;
        }
    }
}

impl Background for Later {
    fn spawn(&self, future: BoxFuture<()>) {
        self.0.lock().unwrap().push(future);
    }

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }

    fn stopping(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// Bytes that never come again.
struct Unique;

impl plugin_api::Random for Unique {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

/// A gateway with one session plugin.
struct Gateway {
    services: Services,
    clock: Arc<ManualClock>,
}

fn alice() -> Value {
    json!({ "id": ALICE, "username": "alice" })
}

fn gateway(records: FakeRecords) -> Gateway {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000)));
    let mut services = services(records);
    services.clock = clock.clone();
    services.background = Arc::new(Soon);
    services.random = Arc::new(Unique);
    Gateway { services, clock }
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "secret": "ssssssssssssssssssssssssssssssss", "storage": "cookie", "audience": "default",
        "idling_timeout": 900, "rolling_timeout": 3600, "absolute_timeout": 86400, "stale_ttl": 10,
        "cookie_name": "session", "cookie_path": "/", "cookie_domain": null, "cookie_same_site": "Strict",
        "cookie_http_only": true, "cookie_secure": true, "remember": false, "remember_cookie_name": "remember",
        "remember_rolling_timeout": 604_800, "remember_absolute_timeout": 2_592_000, "response_headers": null,
        "request_headers": null, "read_body_for_logout": false, "logout_methods": ["POST", "DELETE"],
        "logout_query_arg": "session_logout", "logout_post_arg": "session_logout",
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// What a request came to.
struct Seen {
    sample: Sample,
    /// The status of an answer of the plugin's.
    status: Option<u16>,
    /// The cookies that the client got.
    cookies: Vec<String>,
    answer: ResponseHead,
}

impl Seen {
    fn user(&self) -> Option<&str> {
        self.sample.head.headers.get_str("X-Consumer-Username")
    }

    /// What the client sends next time.
    fn cookie(&self) -> String {
        let pairs = self
            .cookies
            .iter()
            .filter_map(|line| line.split(';').next());
        pairs.collect::<Vec<_>>().join("; ")
    }
}

impl Gateway {
    /// A request in which another plugin recognises alice, if `logs_in`.
    async fn send(
        &self,
        config: &Value,
        method: &str,
        target: &str,
        cookie: &str,
        logs_in: bool,
    ) -> Seen {
        let headers = [("Cookie", cookie), ("Session-Subject", "mallory")];
        let mut sample = Sample::new(method, target, &headers);
        let handler = build(handler::build, config, &self.services).unwrap();
        let mut exchange = sample.exchange();
        let flow = handler.access(&mut exchange).outcome().await.unwrap();
        let status = match flow {
            Flow::Next => None,
            Flow::Answer(reply) => Some(reply.status),
        };
        if logs_in {
            let record = Arc::new(alice().as_object().cloned().unwrap());
            exchange.work.consumer = Consumer::read(record).map(Arc::new);
            exchange.work.credential = Some(Arc::new(Credential {
                id: "k".into(),
                identifier: None,
                record: None,
            }));
        }
        let mut answer = ResponseHead::new(200, http1::Framing::None);
        for edit in std::mem::take(&mut exchange.work.answer_headers) {
            HeaderEdit::apply(&edit, &mut answer).unwrap();
        }
        handler.header_filter(&mut exchange, &mut answer).unwrap();
        tokio::task::yield_now().await;
        let cookies = answer.headers.get_all("set-cookie");
        let cookies = cookies.map(|line| String::from_utf8(line.to_vec()).unwrap());
        let cookies = cookies.collect();
        Seen {
            sample,
            status,
            cookies,
            answer,
        }
    }

    async fn log_in(&self, config: &Value) -> Seen {
        self.send(config, "GET", "/", "", true).await
    }

    async fn get(&self, config: &Value, cookie: &str) -> Seen {
        self.send(config, "GET", "/", cookie, false).await
    }
}

fn stores() -> [Value; 2] {
    [config(json!({})), config(json!({ "storage": "kong" }))]
}

#[tokio::test]
async fn a_client_that_logged_in_is_known_by_its_cookie() {
    for config in stores() {
        let gateway = gateway(FakeRecords::default().with("consumers", alice()));
        let first = gateway.log_in(&config).await;
        assert!(first.cookies[0].ends_with("; Path=/; SameSite=Strict; Secure; HttpOnly"));
        let second = gateway.get(&config, &first.cookie()).await;
        assert_eq!(second.user(), Some("alice"));
        assert!(second.cookies.is_empty());
        let credential = second.sample.work.credential.unwrap();
        assert_eq!(&*credential.id, "k");
    }
}

#[tokio::test]
async fn nobody_gets_a_session_without_a_credential() {
    let gateway = gateway(FakeRecords::default());
    assert!(gateway.get(&config(json!({})), "").await.cookies.is_empty());
}

#[tokio::test]
async fn forged_foreign_and_damaged_cookies_name_nobody() {
    for config in stores() {
        let gateway = gateway(FakeRecords::default().with("consumers", alice()));
        let good = gateway.log_in(&config).await.cookie();
        let mut other = config.clone();
        other["secret"] = json!("tttttttttttttttttttttttttttttttt");
        assert_eq!(gateway.get(&other, &good).await.user(), None);
        let mut damaged = good.clone().into_bytes();
        let last = damaged.len() - 3;
        damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        for bad in [&*damaged, "session=", "session=%%%", "session=AAAA"] {
            let seen = gateway.get(&config, bad).await;
            assert_eq!((seen.user(), seen.status), (None, None), "{bad}");
        }
    }
}

#[tokio::test]
async fn the_short_cookie_is_not_taken_for_the_long_one() {
    let gateway = gateway(FakeRecords::default().with("consumers", alice()));
    let config = config(json!({ "remember": true }));
    let first = gateway.log_in(&config).await;
    let (name, sealed) = first.cookies[0]
        .split(';')
        .next()
        .unwrap()
        .split_once('=')
        .unwrap();
    assert_eq!(name, "session");
    gateway.clock.advance(Duration::from_secs(5000));
    let swapped = gateway.get(&config, &format!("remember={sealed}")).await;
    assert_eq!(swapped.user(), None);
}

#[tokio::test]
async fn a_session_ends_when_it_idles_and_when_it_is_too_old() {
    for config in stores() {
        let gateway = gateway(FakeRecords::default().with("consumers", alice()));
        let mut cookie = gateway.log_in(&config).await.cookie();
        gateway.clock.advance(Duration::from_secs(901));
        assert_eq!(gateway.get(&config, &cookie).await.user(), None);
        let login = gateway.log_in(&config).await;
        cookie = login.cookie();
        // Used every ten minutes it is renewed on the way, but not beyond a day.
        for turn in 1..=144 {
            gateway.clock.advance(Duration::from_secs(600));
            let seen = gateway.get(&config, &cookie).await;
            assert_eq!(seen.user(), Some("alice"), "{turn}");
            if !seen.cookies.is_empty() {
                cookie = seen.cookie();
            }
        }
        gateway.clock.advance(Duration::from_secs(1));
        assert_eq!(gateway.get(&config, &cookie).await.user(), None);
    }
}

#[tokio::test]
async fn a_remembered_client_comes_back_after_its_session_has_ended() {
    for storage in ["cookie", "kong"] {
        let gateway = gateway(FakeRecords::default().with("consumers", alice()));
        let config = config(json!({ "remember": true, "storage": storage }));
        let first = gateway.log_in(&config).await;
        assert!(first.cookies[1].contains("; Max-Age=604800"));
        gateway.clock.advance(Duration::from_secs(100_000));
        let back = gateway.get(&config, &first.cookie()).await;
        assert_eq!(back.user(), Some("alice"));
        assert_eq!(back.cookies.len(), 2);
        let again = gateway.get(&config, &back.cookie()).await;
        assert_eq!(again.user(), Some("alice"));
    }
}

#[tokio::test]
async fn logout_ends_the_session_and_takes_the_cookie() {
    for config in stores() {
        let gateway = gateway(FakeRecords::default().with("consumers", alice()));
        let cookie = gateway.log_in(&config).await.cookie();
        let ignored = gateway
            .send(&config, "GET", "/?session_logout", &cookie, false)
            .await;
        assert_eq!((ignored.status, ignored.user()), (None, Some("alice")));
        let out = gateway
            .send(&config, "POST", "/?session_logout=1", &cookie, false)
            .await;
        assert_eq!(out.status, Some(200));
        assert_eq!(
            out.cookies,
            [
                "session=; Path=/; SameSite=Strict; Secure; HttpOnly; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0"
            ]
        );
        if config["storage"] == "kong" {
            assert_eq!(gateway.get(&config, &cookie).await.user(), None);
        }
    }
}

#[tokio::test]
async fn audiences_share_a_cookie_and_know_only_their_own() {
    let gateway = gateway(FakeRecords::default().with("consumers", alice()));
    let (one, two) = (config(json!({})), config(json!({ "audience": "two" })));
    let cookie = gateway.log_in(&one).await.cookie();
    assert_eq!(gateway.get(&two, &cookie).await.user(), None);
    let both = gateway.send(&two, "GET", "/", &cookie, true).await.cookie();
    assert_eq!(gateway.get(&one, &both).await.user(), Some("alice"));
    assert_eq!(gateway.get(&two, &both).await.user(), Some("alice"));
    let rest = gateway
        .send(&one, "DELETE", "/?session_logout=1", &both, false)
        .await
        .cookie();
    assert_eq!(gateway.get(&one, &rest).await.user(), None);
    assert_eq!(gateway.get(&two, &rest).await.user(), Some("alice"));
}

#[tokio::test]
async fn headers_tell_client_and_upstream_and_cannot_be_spoofed() {
    let gateway = gateway(FakeRecords::default().with("consumers", alice()));
    let names = [
        "id",
        "audience",
        "subject",
        "timeout",
        "idling-timeout",
        "rolling-timeout",
        "absolute-timeout",
    ];
    let config = config(json!({ "response_headers": names, "request_headers": ["subject"] }));
    let first = gateway.log_in(&config).await;
    let answered = |name: &str| first.answer.headers.get_str(name);
    assert_eq!(answered("Session-Subject"), Some("alice"));
    assert_eq!(answered("Session-Audience"), Some("default"));
    assert_eq!(answered("Session-Timeout"), Some("900"));
    assert_eq!(answered("Session-Rolling-Timeout"), Some("3600"));
    assert_eq!(answered("Session-Absolute-Timeout"), Some("86400"));
    assert_eq!(first.sample.head.headers.get_str("Session-Subject"), None);
    let second = gateway.get(&config, &first.cookie()).await;
    assert_eq!(
        second.sample.head.headers.get_str("Session-Subject"),
        Some("alice")
    );
}

#[tokio::test]
async fn the_session_of_a_consumer_that_is_gone_ends() {
    let gateway = gateway(FakeRecords::default());
    let config = config(json!({}));
    let cookie = gateway.log_in(&config).await.cookie();
    let seen = gateway.get(&config, &cookie).await;
    assert_eq!((seen.user(), seen.status), (None, None));
    assert!(seen.cookies[0].starts_with("session=;"));
}

#[tokio::test]
async fn a_session_that_cannot_be_looked_up_leaves_the_request_to_other_plugins() {
    let mut records = FakeRecords::default();
    records.away = true;
    let away = gateway(records);
    let config = config(json!({ "storage": "kong" }));
    let cookie = away.log_in(&config).await.cookie();
    let seen = away.get(&config, &cookie).await;
    assert_eq!((seen.user(), seen.status), (None, None));
}

#[tokio::test]
async fn a_session_is_good_before_it_is_stored_and_a_logout_meanwhile_lasts() {
    let mut gateway = gateway(FakeRecords::default().with("consumers", alice()));
    let later = Arc::new(Later::default());
    gateway.services.background = later.clone();
    let config = config(json!({ "storage": "kong" }));
    let kept = gateway.log_in(&config).await.cookie();
    let ended = gateway.log_in(&config).await.cookie();
    assert_eq!(gateway.get(&config, &ended).await.user(), Some("alice"));
    let out = gateway
        .send(&config, "POST", "/?session_logout", &ended, false)
        .await;
    assert_eq!(out.status, Some(200));
    for _ in 0..2 {
        assert_eq!(gateway.get(&config, &kept).await.user(), Some("alice"));
        assert_eq!(gateway.get(&config, &ended).await.user(), None);
        later.go_on().await;
    }
}

#[tokio::test]
async fn a_session_whose_write_is_given_up_is_lost() {
    let mut gateway = gateway(FakeRecords::default().with("consumers", alice()));
    let later = Arc::new(Later::default());
    gateway.services.background = later.clone();
    let config = config(json!({ "storage": "kong" }));
    let cookie = gateway.log_in(&config).await.cookie();
    later.0.lock().unwrap().clear();
    assert_eq!(gateway.get(&config, &cookie).await.user(), None);
}
