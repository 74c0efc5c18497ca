//! The endpoints and the check of tokens, over records in memory.

mod endpoints;
mod hostile;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Flow, Handler, Random, Records, Reply, Services, Tls, Writer, arguments};
use serde_json::{Value, json};
use stdx::ManualClock;

use super::handler;

const BOB: &str = "00000000-0000-0000-0000-00000000000b";
const APP: &str = "00000000-0000-0000-0000-0000000000a1";
const OTHER_APP: &str = "00000000-0000-0000-0000-0000000000a2";
const PUBLIC_APP: &str = "00000000-0000-0000-0000-0000000000a3";
/// The service of samples.
const SERVICE: &str = "00000000-0000-0000-0000-000000000002";
const CALLBACK: &str = "https://app.test/back";

fn records() -> FakeRecords {
    let application = |id: &str, client_id: &str, secret: Option<&str>, kind: &str| {
        json!({
            "id": id, "client_id": client_id, "client_secret": secret, "client_type": kind,
            "hash_secret": false, "consumer": { "id": BOB },
            "redirect_uris": [CALLBACK, "https://app.test/other?x=1"],
        })
    };
    let confidential = "confidential";
    FakeRecords::default()
        .with(
            "consumers",
            json!({ "id": BOB, "username": "bob", "custom_id": "b-1" }),
        )
        .with(
            "consumers",
            json!({ "id": "00000000-0000-0000-0000-00000000000f", "username": "nobody" }),
        )
        .with(
            "oauth2_credentials",
            application(APP, "cid", Some("csec"), confidential),
        )
        .with(
            "oauth2_credentials",
            application(OTHER_APP, "other", Some("osec"), confidential),
        )
        .with(
            "oauth2_credentials",
            application(PUBLIC_APP, "phone", None, "public"),
        )
}

/// Bytes that do not come again.
#[derive(Default)]
struct Unique(AtomicU64);

impl Random for Unique {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            piece.copy_from_slice(&mixed.to_le_bytes()[..piece.len()]);
        }
    }
}

/// A gateway with one configuration of the plugin.
struct Gate {
    handler: Arc<dyn Handler>,
    clock: Arc<ManualClock>,
    services: Services,
}

impl Gate {
    fn new(more: Value) -> Self {
        Self::over(more, records())
    }

    fn over(more: Value, records: FakeRecords) -> Self {
        let records = Arc::new(records);
        let clock = Arc::new(ManualClock::at(std::time::SystemTime::UNIX_EPOCH));
        clock.advance(Duration::from_secs(1_000_000));
        let services = over(&clock, records.clone(), records);
        Self::with(more, services, clock)
    }

    fn with(more: Value, services: Services, clock: Arc<ManualClock>) -> Self {
        let handler = build(handler::build, &config(more), &services).expect("a handler");
        Self {
            handler,
            clock,
            services,
        }
    }

    /// The same records behind another configuration.
    fn beside(&self, more: Value) -> Self {
        Self::with(more, self.services.clone(), self.clock.clone())
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Gives the plugin its turn; the answer, if it gave one.
    async fn turn(&self, sample: &mut Sample) -> Option<Reply> {
        let mut exchange = sample.exchange();
        let step = self.handler.access(&mut exchange);
        match step.outcome().await.expect("an outcome") {
            Flow::Next => None,
            Flow::Answer(reply) => Some(*reply),
        }
    }

    /// A form that comes over TLS, and what it is answered.
    async fn post(&self, path: &str, form: &str) -> (u16, Value) {
        answered(self.turn(&mut secure(path, form)).await)
    }

    async fn token(&self, form: &str) -> (u16, Value) {
        self.post("/oauth2/token", form).await
    }

    /// A request with a token; the status of its refusal, if it is refused.
    async fn open(&self, token: &str) -> Option<u16> {
        let bearer = format!("Bearer {token}");
        let mut sample = Sample::new("GET", "/a", &[("Authorization", &bearer)]);
        self.turn(&mut sample).await.map(|reply| reply.status)
    }

    /// A code for the user `u-7`.
    async fn code(&self, more: &str) -> String {
        let (status, body) = self.authorize(&format!("response_type=code&{more}")).await;
        assert_eq!(status, 200, "{body}");
        argument(text(&body, "redirect_uri"), "code")
    }

    /// A request of the login page for the application `cid`, unless `form` names another.
    async fn authorize(&self, form: &str) -> (u16, Value) {
        let client = if form.contains("client_id=") {
            ""
        } else {
            "&client_id=cid"
        };
        let login = "provision_key=prov&authenticated_userid=u-7";
        self.post("/oauth2/authorize", &format!("{login}{client}&{form}"))
            .await
    }
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "scopes": ["email", "phone"], "mandatory_scope": false, "provision_key": "prov",
        "token_expiration": 7200, "enable_authorization_code": true, "enable_implicit_grant": true,
        "enable_client_credentials": true, "enable_password_grant": true, "hide_credentials": false,
        "accept_http_if_already_terminated": false, "anonymous": null, "global_credentials": false,
        "auth_header_name": "authorization", "refresh_token_ttl": 1_209_600,
        "reuse_refresh_token": false, "pkce": "lax", "realm": null,
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

/// Services that read and write these records.
fn over(clock: &Arc<ManualClock>, records: Arc<dyn Records>, writer: Arc<dyn Writer>) -> Services {
    Services {
        clock: clock.clone(),
        random: Arc::new(Unique::default()),
        records,
        writer,
        ..services(FakeRecords::default())
    }
}

/// A request with a body, over TLS.
fn secure(path: &str, form: &str) -> Sample {
    let mut sample = posted(path, "application/x-www-form-urlencoded", form.as_bytes());
    sample.connection.tls = Some(Tls {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        server_name: None,
        client_certificates: &[],
    });
    sample
}

fn posted(path: &str, kind: &str, body: &[u8]) -> Sample {
    let mut sample = Sample::new("POST", path, &[("Content-Type", kind)]);
    sample.work.body_length = body.len() as u64;
    sample.work.body = Some(body.to_vec().into());
    sample
}

fn answered(reply: Option<Reply>) -> (u16, Value) {
    let reply = reply.expect("an answer");
    match reply.body {
        Body::Json(body) => (reply.status, body),
        other => panic!("{other:?}"),
    }
}

fn text<'a>(body: &'a Value, member: &str) -> &'a str {
    body[member].as_str().expect(member)
}

/// An argument of the query of an address.
fn argument(uri: &str, name: &str) -> String {
    let (_, query) = uri.split_once('?').expect("a query");
    let mut found = arguments(query.as_bytes()).filter(|given| *given.name == *name.as_bytes());
    let value = found.next().expect(name).value.expect("a value");
    assert!(found.next().is_none(), "two of {name} in {uri}");
    String::from_utf8(value.into_owned()).expect("UTF-8")
}

fn error(status: u16, error: &str, description: &str) -> (u16, Value) {
    let body = json!({ "error": error, "error_description": description });
    (status, body)
}

/// The client `cid` and its secret, as parameters.
const CLIENT: &str = "client_id=cid&client_secret=csec";
