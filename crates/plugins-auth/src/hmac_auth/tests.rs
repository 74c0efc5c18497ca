use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Flow, Reply};
use serde_json::{Value, json};

use super::handler;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";
/// The clock of the tests stands at this time.
const NOW: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

fn config(more: Value) -> Value {
    let mut config = json!({
        "hide_credentials": false, "clock_skew": 300, "anonymous": null, "validate_request_body": false,
        "enforce_headers": [], "realm": null,
        "algorithms": ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"],
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

fn records() -> FakeRecords {
    FakeRecords::default()
        .with("consumers", json!({ "id": ALICE, "username": "alice" }))
        .with(
            "hmacauth_credentials",
            json!({
                "id": "00000000-0000-0000-0000-00000000000c", "username": "al", "secret": "hush",
                "consumer": { "id": ALICE },
            }),
        )
}

async fn access(config: Value, sample: &mut Sample) -> Option<Reply> {
    let handler = build(handler::build, &config, &services(records())).expect("a handler");
    let mut exchange = sample.exchange();
    match handler.access(&mut exchange).outcome().await {
        Ok(Flow::Next) => None,
        Ok(Flow::Answer(reply)) => Some(*reply),
        Err(failure) => panic!("{failure}"),
    }
}

/// A header that claims to be somebody who signed a text.
fn claim(user: &str, name: &str, secret: &str, headers: &str, text: &str) -> String {
    let algorithm = match name {
        "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha384" => hmac::HMAC_SHA384,
        "hmac-sha512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let tag = hmac::sign(
        &hmac::Key::new(algorithm, secret.as_bytes()),
        text.as_bytes(),
    );
    let signature = STANDARD.encode(tag);
    format!(
        "hmac username=\"{user}\", algorithm=\"{name}\", headers=\"{headers}\", signature=\"{signature}\""
    )
}

fn refused(message: &'static str) -> Option<Reply> {
    Some(Reply::error(401, message).with_header("WWW-Authenticate", "hmac"))
}

#[tokio::test]
async fn who_signed_the_request_is_let_in() {
    let date = format!("date: {NOW}");
    let line = format!("{date}\nGET /a/b?x=1 HTTP/1.1\nx-none:\n@request-target: get /a/b?x=1");
    for (algorithm, headers, text) in [
        ("hmac-sha1", "date", &date),
        (
            "hmac-sha256",
            "date request-line x-none @request-target",
            &line,
        ),
        ("hmac-sha384", "date", &date),
        ("hmac-sha512", "date", &date),
    ] {
        let claim = claim("al", algorithm, "hush", headers, text);
        for name in ["Authorization", "Proxy-Authorization"] {
            let headers = [("Date", NOW), (name, claim.as_str())];
            let mut sample = Sample::new("GET", "/a/b?x=1", &headers);
            let hide = config(json!({ "hide_credentials": true }));
            assert_eq!(access(hide, &mut sample).await, None, "{algorithm}");
            assert!(!sample.head.headers.contains(name));
            let said = sample.head.headers.get_str("X-Credential-Identifier");
            assert_eq!(said, Some("al"));
        }
    }
}

#[tokio::test]
async fn what_is_not_signed_as_it_must_be_is_refused() {
    let date = format!("date: {NOW}");
    let late = "Thu, 01 Jan 1970 00:05:01 GMT";
    let good = claim("al", "hmac-sha256", "hush", "date", &date);
    let unreadable = good.replace("signature=\"", "signature=\"*");
    const CANNOT: &str = "HMAC signature cannot be verified";
    const DIFFERENT: &str = "HMAC signature does not match";
    for (more, headers, message) in [
        (json!({}), vec![], "Unauthorized"),
        (
            json!({}),
            vec![("Authorization", good.clone())],
            "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication",
        ),
        (
            json!({}),
            vec![("Date", late.to_owned()), ("Authorization", good.clone())],
            "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication",
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                ("Authorization", "Basic YQ==".to_owned()),
            ],
            CANNOT,
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                (
                    "Authorization",
                    claim("eve", "hmac-sha256", "hush", "date", &date),
                ),
            ],
            CANNOT,
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                ("Authorization", claim("al", "none", "hush", "date", &date)),
            ],
            CANNOT,
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                (
                    "Authorization",
                    claim("al", "hmac-sha256", "guess", "date", &date),
                ),
            ],
            DIFFERENT,
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                (
                    "Authorization",
                    claim("al", "hmac-sha256", "hush", "date", "x"),
                ),
            ],
            DIFFERENT,
        ),
        (
            json!({}),
            vec![
                ("Date", NOW.to_owned()),
                ("Authorization", unreadable.clone()),
            ],
            DIFFERENT,
        ),
        (
            json!({ "algorithms": ["hmac-sha512"] }),
            vec![("Date", NOW.to_owned()), ("Authorization", good.clone())],
            CANNOT,
        ),
        (
            json!({ "enforce_headers": ["date", "x-tenant"] }),
            vec![("Date", NOW.to_owned()), ("Authorization", good.clone())],
            CANNOT,
        ),
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut sample = Sample::new("GET", "/", &headers);
        assert_eq!(
            access(config(more), &mut sample).await,
            refused(message),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn refused_credentials_are_hidden_where_the_anonymous_consumer_stands_in() {
    let wrong = claim(
        "al",
        "hmac-sha256",
        "guess",
        "date",
        &format!("date: {NOW}"),
    );
    let unknown = claim("eve", "hmac-sha256", "hush", "date", "x");
    for said in [wrong.as_str(), unknown.as_str(), "Bearer abc"] {
        for (hides, kept) in [(true, None), (false, Some(said))] {
            let mut sample = Sample::new("GET", "/", &[("Date", NOW), ("Authorization", said)]);
            let open = config(json!({ "hide_credentials": hides, "anonymous": ALICE }));
            assert_eq!(access(open, &mut sample).await, None, "{said}");
            let headers = &sample.head.headers;
            assert_eq!(headers.get_str("X-Anonymous-Consumer"), Some("true"));
            assert_eq!(headers.get_str("Authorization"), kept);
        }
    }
}

#[tokio::test]
async fn a_body_has_to_have_its_digest_if_that_is_asked_for() {
    let claim = claim("al", "hmac-sha256", "hush", "date", &format!("date: {NOW}"));
    let digest = |body: &str| {
        let sum = digest::digest(&digest::SHA256, body.as_bytes());
        format!("SHA-256={}", STANDARD.encode(sum))
    };
    for (body, digest, passes) in [
        ("", None, true),
        ("body", None, false),
        ("body", Some(digest("body")), true),
        ("body", Some(digest("other")), false),
        ("", Some(digest("")), true),
    ] {
        let mut headers = vec![("Date", NOW), ("Authorization", claim.as_str())];
        headers.extend(digest.as_deref().map(|digest| ("Digest", digest)));
        let mut sample = Sample::new("POST", "/", &headers);
        sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
        sample.work.body_length = body.len() as u64;
        let checked = config(json!({ "validate_request_body": true }));
        assert_eq!(
            access(checked, &mut sample).await.is_none(),
            passes,
            "{body} {digest:?}"
        );
    }
}
