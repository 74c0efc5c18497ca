use plugin_api::By;
use plugin_api::testing::Sample;

use super::*;

/// A gateway where the token `fixed` of the user `u-1` is known.
fn gate(more: Value, token: Value) -> Gate {
    let mut row = json!({
        "id": "00000000-0000-0000-0000-0000000000c1", "access_token": "fixed", "refresh_token": "again",
        "credential": { "id": APP }, "service": { "id": SERVICE }, "expires_in": 60, "created_at": 1_000_000,
        "scope": "email", "authenticated_userid": "u-1", "token_type": "bearer",
    });
    for (name, value) in token.as_object().expect("an object") {
        row[name] = value.clone();
    }
    Gate::over(more, records().with("oauth2_tokens", row))
}

fn header<'a>(sample: &'a Sample, name: &str) -> Option<&'a str> {
    sample.head.headers.get_str(name)
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_token_is_found_wherever_it_may_be_and_names_the_consumer() {
    let gate = gate(json!({}), json!({}));
    let with = |value: &str| Sample::new("GET", "/a", &[("Authorization", value)]);
    for mut sample in [
        with("Bearer fixed"),
        with("token  fixed"),
        with("BEARER fixed"),
        with("fixed"),
        Sample::new("GET", "/a?x=1&access_token=fixed", &[]),
        posted("/a", FORM, b"access_token=fixed"),
        posted("/a", "application/json", br#"{"access_token":"fixed"}"#),
    ] {
        assert_eq!(gate.turn(&mut sample).await, None);
        for (name, value) in [
            ("X-Consumer-ID", BOB),
            ("X-Consumer-Username", "bob"),
            ("X-Consumer-Custom-ID", "b-1"),
            ("X-Credential-Identifier", "cid"),
            ("X-Authenticated-Scope", "email"),
            ("X-Authenticated-UserId", "u-1"),
        ] {
            assert_eq!(header(&sample, name), Some(value));
        }
        assert_eq!(header(&sample, "X-Anonymous-Consumer"), None);
        assert!(sample.work.credential.is_some());
    }
}

#[tokio::test]
async fn refuses_a_missing_and_an_unknown_token_with_401() {
    let gate = gate(json!({ "realm": "r" }), json!({}));
    for (target, headers, name, message) in [
        (
            "/a",
            &[][..],
            "invalid_request",
            "The access token is missing",
        ),
        (
            "/a",
            &[("Authorization", "")],
            "invalid_request",
            "The access token is missing",
        ),
        (
            "/a?access_token=fixed&access_token=fixed",
            &[],
            "invalid_request",
            "The access token is missing",
        ),
        (
            "/a?access_token=fixed",
            &[("Authorization", "Bearer no")],
            "invalid_token",
            "The access token is invalid or has expired",
        ),
        (
            "/a",
            &[("Authorization", "Bearer fixed more")],
            "invalid_token",
            "The access token is invalid or has expired",
        ),
    ] {
        let mut sample = Sample::new("GET", target, headers);
        let reply = gate.turn(&mut sample).await.expect("an answer");
        let why = match name {
            "invalid_token" => format!(" error=\"{name}\" error_description=\"{message}\""),
            _ => String::new(),
        };
        let challenge = format!("Bearer realm=\"r\"{why}");
        assert_eq!(
            reply.headers,
            [("WWW-Authenticate".into(), challenge.into_bytes())]
        );
        assert_eq!(answered(Some(reply)), error(401, name, message));
        assert!(sample.work.consumer.is_none());
    }
}

#[tokio::test]
async fn another_header_can_hold_the_token() {
    let gate = gate(
        json!({ "auth_header_name": "X-Token", "hide_credentials": true }),
        json!({}),
    );
    let mut sample = Sample::new(
        "GET",
        "/a",
        &[("X-Token", "Bearer fixed"), ("Authorization", "Bearer no")],
    );
    assert_eq!(gate.turn(&mut sample).await, None);
    assert_eq!(header(&sample, "X-Token"), None);
    assert_eq!(header(&sample, "Authorization"), Some("Bearer no"));
}

#[tokio::test]
async fn a_token_ends_and_a_token_without_end_does_not() {
    let (short, endless) = (
        gate(json!({}), json!({})),
        gate(json!({}), json!({ "expires_in": 0 })),
    );
    for (passed, status) in [
        (0, None),
        (60, None),
        (1, Some(401)),
        (1_000_000, Some(401)),
    ] {
        short.pass(passed);
        endless.pass(passed);
        assert_eq!(short.open("fixed").await, status);
        assert_eq!(endless.open("fixed").await, None);
    }
}

#[tokio::test]
async fn a_token_opens_its_service_or_all_that_share_tokens() {
    let elsewhere = json!({ "service": { "id": "00000000-0000-0000-0000-000000000003" } });
    let anywhere = json!({ "service": null });
    let global = || json!({ "global_credentials": true });
    for (config, token, status) in [
        (json!({}), json!({}), None),
        (global(), json!({}), None),
        (json!({}), elsewhere.clone(), Some(401)),
        (global(), elsewhere, Some(401)),
        (json!({}), anywhere.clone(), Some(401)),
        (global(), anywhere, None),
    ] {
        let gate = gate(config, token);
        assert_eq!(gate.open("fixed").await, status);
        let form = format!("grant_type=refresh_token&{CLIENT}&refresh_token=again");
        let expected = if status.is_some() { 400 } else { 200 };
        assert_eq!(gate.token(&form).await.0, expected);
    }
    let gate = gate(json!({}), json!({ "service": null }));
    let mut sample = Sample::new("GET", "/a", &[("Authorization", "Bearer fixed")]);
    let (_, body) = answered(gate.turn(&mut sample).await);
    let why = "The access token is global, but the current plugin is configured without 'global_credentials'";
    assert_eq!(text(&body, "error_description"), why);
}

#[tokio::test]
async fn a_token_whose_application_is_gone_is_worth_nothing() {
    let gate = gate(json!({}), json!({ "credential": { "id": BOB } }));
    assert_eq!(gate.open("fixed").await, Some(401));
}

#[tokio::test]
async fn hidden_tokens_do_not_reach_the_upstream() {
    let gate = gate(json!({ "hide_credentials": true }), json!({}));
    for value in ["Bearer fixed", "fixed"] {
        let mut sample = Sample::new("GET", "/a", &[("Authorization", value)]);
        assert_eq!(gate.turn(&mut sample).await, None);
        assert_eq!(header(&sample, "Authorization"), None);
    }
    let mut sample = Sample::new("GET", "/a?x=%20&access_token=fixed&y", &[]);
    assert_eq!(gate.turn(&mut sample).await, None);
    assert_eq!(sample.target, b"/a?x=%20&y");
    for (kind, body, left) in [
        (FORM, "access_token=fixed&x=1", "x=1"),
        (
            "application/json",
            r#"{"access_token":"fixed","x":1}"#,
            r#"{"x":1}"#,
        ),
    ] {
        let mut sample = posted("/a", kind, body.as_bytes());
        assert_eq!(gate.turn(&mut sample).await, None);
        assert_eq!(sample.exchange().body(), left.as_bytes());
    }
}

#[tokio::test]
async fn what_is_no_token_is_left_to_other_plugins() {
    let gate = gate(
        json!({ "hide_credentials": true, "anonymous": "nobody" }),
        json!({}),
    );
    let mut sample = Sample::new("POST", "/a", &[("Authorization", "Basic eDp5")]);
    assert_eq!(gate.turn(&mut sample).await, None);
    assert_eq!(header(&sample, "Authorization"), Some("Basic eDp5"));
    let mut sample = posted("/a", FORM, b"x=1");
    assert_eq!(gate.turn(&mut sample).await, None);
    assert!(!sample.work.body_changed);
}

#[tokio::test]
async fn without_a_good_token_the_anonymous_consumer_stands_in() {
    let gate = gate(json!({ "anonymous": "nobody" }), json!({}));
    let mut sample = Sample::new(
        "GET",
        "/a",
        &[
            ("Authorization", "Bearer no"),
            ("X-Authenticated-Scope", "root"),
        ],
    );
    assert_eq!(gate.turn(&mut sample).await, None);
    assert_eq!(header(&sample, "X-Consumer-Username"), Some("nobody"));
    assert_eq!(header(&sample, "X-Anonymous-Consumer"), Some("true"));
    assert_eq!(header(&sample, "X-Authenticated-Scope"), None);
    assert_eq!(header(&sample, "Authorization"), Some("Bearer no"));
}

#[tokio::test]
async fn who_is_recognised_already_need_not_show_a_token() {
    let gate = gate(json!({ "anonymous": "nobody" }), json!({}));
    let mut sample = Sample::new("GET", "/a", &[("X-Authenticated-UserId", "root")]);
    sample.work.credential = Some(Arc::new(plugin_api::Credential {
        id: "k".into(),
        identifier: None,
        record: None,
    }));
    assert_eq!(gate.turn(&mut sample).await, None);
    assert!(sample.work.consumer.is_none());
    assert_eq!(header(&sample, "X-Authenticated-UserId"), None);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_new_pair() {
    let gate = gate(json!({}), json!({}));
    gate.pass(1_000);
    let form = |token: &str| format!("grant_type=refresh_token&{CLIENT}&refresh_token={token}");
    let (status, body) = gate.token(&form("again")).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!(7200)));
    assert_ne!(body["refresh_token"], "again");
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let mut sample = Sample::new("GET", "/a", &[("Authorization", &bearer)]);
    assert_eq!(gate.turn(&mut sample).await, None);
    assert_eq!(header(&sample, "X-Authenticated-Scope"), Some("email"));
    assert_eq!(header(&sample, "X-Authenticated-UserId"), Some("u-1"));
    let invalid = error(400, "invalid_request", "Invalid refresh_token");
    assert_eq!(gate.token(&form("again")).await, invalid);
    assert_eq!(gate.open("fixed").await, Some(401));
    assert_eq!(gate.token(&form(text(&body, "refresh_token"))).await.0, 200);
}

#[tokio::test]
async fn a_refresh_token_that_is_reused_stays_and_its_old_access_token_ends() {
    let gate = gate(json!({ "reuse_refresh_token": true }), json!({}));
    let form = format!("grant_type=refresh_token&{CLIENT}&refresh_token=again&state=s");
    let mut before = "fixed".to_owned();
    for _ in 0..2 {
        gate.pass(100);
        let (status, body) = gate.token(&form).await;
        assert_eq!((status, text(&body, "refresh_token")), (200, "again"));
        assert_eq!(body["state"], "s");
        assert_eq!(gate.open(&before).await, Some(401));
        before = text(&body, "access_token").to_owned();
        assert_eq!(gate.open(&before).await, None);
    }
}

#[tokio::test]
async fn a_refresh_token_is_that_of_one_client_and_of_scopes_that_exist() {
    let with = |token: Value| gate(json!({}), token);
    let form = "grant_type=refresh_token&client_id=other&client_secret=osec&refresh_token=again";
    let refused = error(400, "invalid_client", "Invalid client authentication");
    assert_eq!(with(json!({})).token(form).await, refused);
    let form = format!("grant_type=refresh_token&{CLIENT}&refresh_token=again");
    let refused = error(400, "invalid_scope", "Scope mismatch");
    assert_eq!(
        with(json!({ "scope": "email gone" })).token(&form).await,
        refused
    );
    assert_eq!(with(json!({ "scope": null })).token(&form).await.0, 200);
}

#[tokio::test]
async fn a_token_without_end_has_no_refresh_token_and_stays() {
    let endless = Gate::new(json!({ "token_expiration": 0 }));
    let form = format!("grant_type=password&{CLIENT}&provision_key=prov&authenticated_userid=u");
    let (_, body) = endless.token(&form).await;
    assert!(body.get("expires_in").is_none() && body.get("refresh_token").is_none());
    for (gate, ttl) in [
        (endless, json!(null)),
        (Gate::new(json!({ "refresh_token_ttl": 0 })), json!(null)),
        (Gate::new(json!({ "refresh_token_ttl": 90 })), json!(90)),
    ] {
        let (_, body) = gate.token(&form).await;
        let by = By::Unique("access_token", text(&body, "access_token"));
        let row = gate.services.records.find("oauth2_tokens", by).get().await;
        let row = row.expect("a store").expect("a row");
        assert_eq!(row["ttl"], ttl);
    }
}
