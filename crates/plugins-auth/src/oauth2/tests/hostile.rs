use std::sync::Mutex;

use plugin_api::testing::Sample;
use plugin_api::{BoxFuture, By, Epoch, Lookup, WriteError};
use schema::Record;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn a_code_that_was_used_is_worth_nothing() {
    let gate = Gate::new(json!({}));
    let code = gate.code("").await;
    let form = format!("grant_type=authorization_code&{CLIENT}&code={code}");
    assert_eq!(gate.token(&form).await.0, 200);
    let invalid = error(400, "invalid_request", "Invalid code");
    assert_eq!(gate.token(&form).await, invalid);
}

#[tokio::test]
async fn a_code_is_good_for_its_client_and_service_and_for_minutes_only() {
    let gate = Gate::new(json!({}));
    let invalid = error(400, "invalid_request", "Invalid code");
    let code = gate.code("").await;
    let form = format!("grant_type=authorization_code&{CLIENT}&code={code}");
    let thief =
        format!("grant_type=authorization_code&client_id=other&client_secret=osec&code={code}");
    assert_eq!(gate.token(&thief).await, invalid);
    let mut elsewhere = secure("/oauth2/token", &form);
    elsewhere.service = Some(plugin_api::Entity {
        id: Uuid::from_u128(3),
        name: None,
    });
    assert_eq!(answered(gate.turn(&mut elsewhere).await), invalid);
    let global = gate.beside(json!({ "global_credentials": true }));
    let shared = global.code("").await;
    let form = |code: &str| format!("grant_type=authorization_code&{CLIENT}&code={code}");
    assert_eq!(gate.token(&form(&shared)).await, invalid);
    assert_eq!(global.token(&form(&shared)).await.0, 200);
    gate.pass(301);
    assert_eq!(gate.token(&form(&code)).await, invalid);
    for none in ["", "&code=", "&code=no", "&code=%FF", "&code=%00"] {
        let form = format!("grant_type=authorization_code&{CLIENT}{none}");
        assert_eq!(gate.token(&form).await, invalid, "{none}");
    }
}

/// Records that answer reads as they were when the test said so: what two requests see that read before either writes.
struct Frozen {
    seen: Mutex<Vec<(&'static str, Arc<Record>)>>,
    inner: Arc<FakeRecords>,
}

impl Records for Frozen {
    fn find(&self, entity: &'static str, by: By<'_>) -> Lookup<Option<Arc<Record>>> {
        if let By::Unique(field, value) = by {
            let seen = self.seen.lock().expect("a lock");
            let mut of = seen.iter().filter(|(of, _)| *of == entity);
            if let Some((_, record)) = of.find(|(_, record)| record[field] == value) {
                return Lookup::Known(Some(record.clone()));
            }
        }
        self.inner.find(entity, by)
    }

    fn children(&self, _: &'static str, _: &'static str, _: Uuid) -> Lookup<Arc<[Arc<Record>]>> {
        Lookup::Known(Arc::new([]))
    }

    fn epoch(&self, entity: &'static str) -> Epoch {
        self.inner.epoch(entity)
    }
}

#[tokio::test]
async fn of_two_who_redeem_a_code_or_a_refresh_token_at_once_one_gets_a_token() {
    let inner = Arc::new(records());
    let frozen = Arc::new(Frozen {
        seen: Mutex::default(),
        inner: inner.clone(),
    });
    let clock = Arc::new(ManualClock::at(std::time::SystemTime::UNIX_EPOCH));
    let services = over(&clock, frozen.clone(), inner.clone());
    let gate = Gate::with(json!({}), services, clock);
    let code = gate.code("").await;
    let freeze = async |entity: &'static str, field: &'static str, value: &str| {
        let row = inner.find(entity, By::Unique(field, value)).get().await;
        let row = row.expect("a store").expect("a row");
        frozen.seen.lock().expect("a lock").push((entity, row));
    };
    freeze("oauth2_authorization_codes", "code", &code).await;
    let form = format!("grant_type=authorization_code&{CLIENT}&code={code}");
    let (status, body) = gate.token(&form).await;
    assert_eq!(status, 200);
    assert_eq!(
        gate.token(&form).await,
        error(400, "invalid_request", "Invalid code")
    );
    let refresh = text(&body, "refresh_token");
    freeze("oauth2_tokens", "refresh_token", refresh).await;
    let form = format!("grant_type=refresh_token&{CLIENT}&refresh_token={refresh}");
    assert_eq!(gate.token(&form).await.0, 200);
    let invalid = error(400, "invalid_request", "Invalid refresh_token");
    assert_eq!(gate.token(&form).await, invalid);
    // The losers left nothing behind: what is there is the one token that was refreshed.
    let of_app = inner.children("oauth2_tokens", "credential", APP.parse().expect("an id"));
    assert_eq!(of_app.get().await.expect("a store").len(), 1);
}

#[tokio::test]
async fn state_comes_back_as_it_was_and_breaks_out_of_nothing() {
    let gate = Gate::new(json!({}));
    let state = "\"><script>\r\nX: y&code=forged#é?";
    let mut form = String::new();
    for byte in state.bytes() {
        form += &format!("%{byte:02X}");
    }
    let (_, body) = gate
        .authorize(&format!("response_type=code&state={form}"))
        .await;
    let uri = text(&body, "redirect_uri");
    assert_eq!(argument(uri, "state"), state);
    assert_ne!(argument(uri, "code"), "forged");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%:/?=&".contains(c);
    assert!(uri.chars().all(is_plain), "{uri}");
    for unusable in ["state=a&state=b", "state=%FF", "state"] {
        let (_, body) = gate
            .authorize(&format!("response_type=code&{unusable}"))
            .await;
        assert!(!text(&body, "redirect_uri").contains("state"), "{unusable}");
    }
}

#[test]
fn an_address_keeps_its_own_parameters_but_those_that_would_mislead() {
    use super::super::authorize::{Part, send_back};
    let parameters = json!({ "code": "c", "state": "s" });
    let parameters = parameters.as_object().expect("an object");
    for (uri, part, expected) in [
        (
            "https://a.test",
            Part::Query,
            "https://a.test?code=c&state=s",
        ),
        (
            "https://a.test/?b=%20&c",
            Part::Query,
            "https://a.test/?b=%20&c&code=c&state=s",
        ),
        (
            "https://a.test/?code=x&b=1&st%61te=y",
            Part::Query,
            "https://a.test/?b=1&code=c&state=s",
        ),
        (
            "https://a.test/?code=x",
            Part::Fragment,
            "https://a.test/?code=x#code=c&state=s",
        ),
        ("app://back", Part::Fragment, "app://back#code=c&state=s"),
        (
            "https://a.test/#frag",
            Part::Query,
            "https://a.test/?code=c&state=s",
        ),
    ] {
        assert_eq!(send_back(uri, parameters, part), expected);
    }
}

#[tokio::test]
async fn what_cannot_stand_in_a_header_is_no_user() {
    let gate = Gate::new(json!({}));
    let form = format!(
        "grant_type=password&{CLIENT}&provision_key=prov&authenticated_userid=u%0D%0AX-Admin:1"
    );
    let refused = error(
        400,
        "invalid_authenticated_userid",
        "authenticated_userid has control characters",
    );
    assert_eq!(gate.token(&form).await, refused);
    let broken = form.replace("%0D%0A", "%FF");
    assert_eq!(
        gate.token(&broken).await.1["error"],
        "invalid_authenticated_userid"
    );
}

#[tokio::test]
async fn a_body_that_could_not_be_held_is_refused() {
    let gate = Gate::new(json!({}));
    for path in ["/oauth2/token", "/oauth2/authorize"] {
        let mut sample = secure(path, "");
        sample.work.body = None;
        sample.work.body_length = 1 << 30;
        let refused = error(413, "invalid_request", "The body is too long");
        assert_eq!(answered(gate.turn(&mut sample).await), refused);
    }
}

#[tokio::test]
async fn bodies_that_are_broken_are_as_good_as_none() {
    let gate = Gate::new(json!({}));
    for (kind, body) in [
        ("application/json", &b"{"[..]),
        ("application/json", b"[1]"),
        (
            "application/json",
            br#"{"grant_type":{"a":1},"client_id":7,"client_secret":null}"#,
        ),
        (
            "application/x-www-form-urlencoded",
            b"\xff=\xff&&==&grant_type",
        ),
        ("multipart/form-data; boundary=b", b"--b"),
        ("text/plain", b"grant_type=client_credentials"),
    ] {
        for path in ["/oauth2/token", "/oauth2/authorize"] {
            let mut sample = posted(path, kind, body);
            sample.connection.tls = secure("/", "").connection.tls;
            assert_eq!(answered(gate.turn(&mut sample).await).0, 400, "{kind}");
        }
        let mut sample = posted("/a", kind, body);
        assert_eq!(
            gate.turn(&mut sample).await.map(|reply| reply.status),
            Some(401)
        );
    }
}

#[tokio::test]
async fn an_outage_is_503_and_never_a_refusal() {
    let mut away = records();
    away.away = true;
    let gate = Gate::over(json!({ "anonymous": "nobody" }), away);
    assert_eq!(gate.open("any").await, Some(503));
    let (status, body) = gate
        .token(&format!("grant_type=client_credentials&{CLIENT}&state=s"))
        .await;
    assert_eq!(
        (status, &body["error"], &body["state"]),
        (503, &json!("temporarily_unavailable"), &json!("s"))
    );
    assert_eq!(gate.authorize("response_type=code").await.0, 503);
}

#[tokio::test]
async fn without_a_database_nothing_is_issued() {
    let mut read_only = records();
    read_only.read_only = true;
    let gate = Gate::over(json!({}), read_only);
    let form = format!("grant_type=client_credentials&{CLIENT}");
    let mut sample = secure("/oauth2/token", &form);
    let mut exchange = sample.exchange();
    let outcome = gate.handler.access(&mut exchange).outcome().await;
    assert!(outcome.is_err());
}

/// A database that goes away between two writes.
struct Fading(Arc<FakeRecords>);

impl Writer for Fading {
    fn insert(
        &self,
        entity: &'static str,
        record: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        self.0.insert(entity, record)
    }

    fn update(
        &self,
        _: &'static str,
        _: Uuid,
        _: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>> {
        gone()
    }

    fn delete(
        &self,
        _: &'static str,
        _: Uuid,
    ) -> BoxFuture<Result<Option<Arc<Record>>, WriteError>> {
        gone()
    }
}

fn gone<T: Send + 'static>() -> BoxFuture<Result<T, WriteError>> {
    let error = WriteError::Unavailable("on purpose".to_owned());
    Box::pin(std::future::ready(Err(error)))
}

#[tokio::test]
async fn a_database_that_goes_away_meanwhile_takes_no_code_from_the_client() {
    let inner = Arc::new(records());
    let clock = Arc::new(ManualClock::at(std::time::SystemTime::UNIX_EPOCH));
    let services = over(&clock, inner.clone(), Arc::new(Fading(inner.clone())));
    let fading = Gate::with(json!({}), services.clone(), clock.clone());
    let code = fading.code("").await;
    let form = format!("grant_type=authorization_code&{CLIENT}&code={code}");
    assert_eq!(fading.token(&form).await.0, 503);
    let services = Services {
        writer: inner,
        ..services
    };
    let back = Gate::with(json!({}), services, clock);
    assert_eq!(back.token(&form).await.0, 200);
}

#[tokio::test]
async fn a_route_without_a_service_issues_only_tokens_for_all() {
    let gate = Gate::new(json!({}));
    let global = gate.beside(json!({ "global_credentials": true }));
    let form = format!("grant_type=client_credentials&{CLIENT}");
    let mut sample = secure("/oauth2/token", &form);
    sample.service = None;
    assert!(
        gate.handler
            .access(&mut sample.exchange())
            .outcome()
            .await
            .is_err()
    );
    assert_eq!(answered(global.turn(&mut sample).await).0, 200);
    let mut sample = Sample::new("GET", "/a?access_token=x", &[]);
    sample.service = None;
    assert_eq!(
        gate.turn(&mut sample).await.map(|reply| reply.status),
        Some(401)
    );
}
