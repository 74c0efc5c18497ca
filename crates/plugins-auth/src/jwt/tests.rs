use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Flow, Reply};
use serde_json::{Value, json};

use super::handler;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

type Sign<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;

fn config(more: Value) -> Value {
    let mut config = json!({
        "uri_param_names": ["jwt"], "cookie_names": [], "header_names": ["authorization"],
        "key_claim_name": "iss", "secret_is_base64": false, "claims_to_verify": null, "maximum_expiration": 0,
        "anonymous": null, "run_on_preflight": true, "realm": null,
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

/// Alice with one credential.
fn records(credential: Value) -> FakeRecords {
    let mut record = json!({
        "id": "00000000-0000-0000-0000-00000000000c", "key": "k1", "secret": "sec", "algorithm": "HS256",
        "consumer": { "id": ALICE },
    });
    for (name, value) in credential.as_object().expect("an object") {
        record[name] = value.clone();
    }
    FakeRecords::default()
        .with("consumers", json!({ "id": ALICE, "username": "alice" }))
        .with(
            "consumers",
            json!({ "id": "00000000-0000-0000-0000-00000000000b", "username": "nobody" }),
        )
        .with("jwt_secrets", record)
}

async fn access(config: Value, records: FakeRecords, sample: &mut Sample) -> Option<Reply> {
    let handler = build(handler::build, &config, &services(records)).expect("a handler");
    let mut exchange = sample.exchange();
    let outcome = handler.access(&mut exchange).outcome().await;
    match outcome.expect("an outcome") {
        Flow::Next => None,
        Flow::Answer(reply) => Some(*reply),
    }
}

/// What the plugin says to a bearer token: nothing, or why not.
async fn verdict(config: Value, records: FakeRecords, token: &str) -> Result<(), Value> {
    let bearer = format!("Bearer {token}");
    let mut sample = Sample::new("GET", "/", &[("Authorization", &bearer)]);
    match access(config, records, &mut sample).await {
        None => {
            let headers = &sample.head.headers;
            assert!(headers.contains("X-Credential-Identifier"));
            assert_eq!(headers.get_str("X-Consumer-ID"), Some(ALICE));
            Ok(())
        }
        Some(reply) => {
            assert_eq!(reply.status, 401);
            assert!(sample.work.consumer.is_none());
            let Body::Json(body) = reply.body else {
                panic!("an answer in JSON");
            };
            Err(body.get("message").cloned().unwrap_or(body))
        }
    }
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    format!("{}.{}", part(&header), part(claims))
}

fn signed(algorithm: &str, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = unsigned(algorithm, claims);
    let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

fn hs256(claims: &Value, secret: &[u8]) -> String {
    signed("HS256", claims, |text| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::sign(&key, text).as_ref().to_vec()
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn spki(key: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    pem("PUBLIC KEY", key.as_der().expect("a key").as_ref())
}

fn claims() -> Value {
    json!({ "iss": "k1" })
}

#[tokio::test]
async fn every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let ed = Ed25519KeyPair::generate().expect("a key");
    let mut cases: Vec<(&str, String, Sign<'_>)> = Vec::new();
    for (name, padding) in [
        (
            "RS256",
            &signature::RSA_PKCS1_SHA256 as &'static dyn signature::RsaEncoding,
        ),
        ("RS384", &signature::RSA_PKCS1_SHA384),
        ("RS512", &signature::RSA_PKCS1_SHA512),
        ("PS256", &signature::RSA_PSS_SHA256),
        ("PS384", &signature::RSA_PSS_SHA384),
        ("PS512", &signature::RSA_PSS_SHA512),
    ] {
        let (rsa, random) = (&rsa, &random);
        let sign = move |text: &[u8]| {
            let mut out = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, random, text, &mut out)
                .expect("a signature");
            out
        };
        cases.push((name, spki(rsa.public_key()), Box::new(sign)));
    }
    for (name, curve) in [
        ("ES256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        ("ES384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ("ES512", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
    ] {
        let pair = EcdsaKeyPair::generate(curve).expect("a key");
        let (key, random) = (spki(pair.public_key()), &random);
        let sign = move |text: &[u8]| {
            let signature = pair.sign(random, text).expect("a signature");
            signature.as_ref().to_vec()
        };
        cases.push((name, key, Box::new(sign)));
    }
    let ed_key = spki(ed.public_key());
    cases.push((
        "EdDSA",
        ed_key,
        Box::new(move |text| ed.sign(text).as_ref().to_vec()),
    ));
    for (name, key, sign) in &cases {
        let token = signed(name, &claims(), sign);
        for (owner, other, _) in &cases {
            let credential = json!({ "algorithm": name, "rsa_public_key": other });
            let verdict = verdict(config(json!({})), records(credential), &token).await;
            if other == key {
                assert_eq!(verdict, Ok(()), "{name}");
            } else {
                assert_eq!(
                    verdict,
                    Err("Invalid signature".into()),
                    "{name} by {owner}"
                );
            }
        }
        let credential = json!({ "algorithm": name, "rsa_public_key": key });
        let forged = signed(name, &claims(), |text| {
            let mut signature = sign(text);
            signature[7] ^= 1;
            signature
        });
        let refused = verdict(config(json!({})), records(credential), &forged).await;
        assert_eq!(refused, Err("Invalid signature".into()), "{name}");
    }
    let pkcs1 = pem("RSA PUBLIC KEY", rsa.public_key().as_ref());
    let credential = json!({ "algorithm": "RS256", "rsa_public_key": pkcs1 });
    assert_eq!(
        verdict(
            config(json!({})),
            records(credential),
            &signed("RS256", &claims(), &cases[0].2)
        )
        .await,
        Ok(()),
        "a key in PKCS#1 form"
    );
}

#[tokio::test]
async fn the_hmac_algorithms_take_a_secret_as_it_is_or_in_base64() {
    for (name, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let secret = b"\xfb\xef\xff secret";
        let token = signed(name, &claims(), |text| {
            hmac::sign(&hmac::Key::new(algorithm, secret), text)
                .as_ref()
                .to_vec()
        });
        for encoded in [STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            let credential = || json!({ "algorithm": name, "secret": encoded });
            let base64 = config(json!({ "secret_is_base64": true }));
            assert_eq!(
                verdict(base64, records(credential()), &token).await,
                Ok(()),
                "{name}"
            );
            let plain = verdict(config(json!({})), records(credential()), &token).await;
            assert_eq!(plain, Err("Invalid signature".into()), "{name}");
        }
    }
    let base64 = config(json!({ "secret_is_base64": true }));
    let broken = verdict(
        base64,
        records(json!({ "secret": "?" })),
        &hs256(&claims(), b""),
    )
    .await;
    assert_eq!(broken, Err("Invalid key/secret".into()));
}

#[tokio::test]
async fn algorithm_confusion_is_refused() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let key = spki(rsa.public_key());
    // The public key as the secret of a symmetric algorithm, with and without its last line break.
    for secret in [key.as_bytes(), key.trim_end().as_bytes()] {
        let credential = json!({ "algorithm": "RS256", "rsa_public_key": key, "secret": key });
        let token = hs256(&claims(), secret);
        let refused = verdict(config(json!({})), records(credential), &token).await;
        assert_eq!(refused, Err("Invalid algorithm".into()));
    }
    // A symmetric credential that has a public key as well is about its secret.
    let token = signed("RS256", &claims(), |_| vec![0; 256]);
    let credential = json!({ "algorithm": "HS256", "rsa_public_key": key });
    let refused = verdict(config(json!({})), records(credential), &token).await;
    assert_eq!(refused, Err("Invalid algorithm".into()));
}

#[tokio::test]
async fn the_algorithm_none_is_refused_however_it_is_written() {
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for token in [
            format!("{}.", unsigned(none, &claims())),
            signed(none, &claims(), |_| b"x".to_vec()),
        ] {
            let refused = verdict(config(json!({})), records(json!({})), &token).await;
            assert_eq!(refused, Err("Bad token; invalid alg".into()));
        }
    }
}

#[tokio::test]
async fn a_token_counts_only_in_its_time() {
    // The clock stands at 0.
    let both = || config(json!({ "claims_to_verify": ["exp", "nbf"] }));
    for (exp, nbf, expected) in [
        (json!(1), json!(0), Ok(())),
        (json!(0), json!(0), Err(json!({ "exp": "token expired" }))),
        (
            json!(1.5),
            json!(0.5),
            Err(json!({ "nbf": "token not valid yet" })),
        ),
        (
            json!(-1),
            json!(9),
            Err(json!({ "exp": "token expired", "nbf": "token not valid yet" })),
        ),
        (
            json!("1"),
            Value::Null,
            Err(json!({ "exp": "must be a number", "nbf": "must be a number" })),
        ),
    ] {
        let token = hs256(&json!({ "iss": "k1", "exp": exp, "nbf": nbf }), b"sec");
        assert_eq!(verdict(both(), records(json!({})), &token).await, expected);
    }
    let longest = || config(json!({ "claims_to_verify": ["exp"], "maximum_expiration": 300 }));
    let token = |exp: i64| hs256(&json!({ "iss": "k1", "exp": exp }), b"sec");
    assert_eq!(
        verdict(longest(), records(json!({})), &token(300)).await,
        Ok(())
    );
    assert_eq!(
        verdict(longest(), records(json!({})), &token(301)).await,
        Err(json!({ "exp": "exceeds maximum allowed expiration" }))
    );
}

#[tokio::test]
async fn an_expired_token_with_a_bad_signature_is_not_told_its_time() {
    let config = config(json!({ "claims_to_verify": ["exp"] }));
    let token = hs256(&json!({ "iss": "k1", "exp": -1 }), b"wrong");
    let refused = verdict(config, records(json!({})), &token).await;
    assert_eq!(refused, Err("Invalid signature".into()));
}

#[tokio::test]
async fn oversized_and_broken_tokens_are_refused() {
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(100_000));
    let long = "A".repeat(1_000_000);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let array = URL_SAFE_NO_PAD.encode("[]");
    for (token, reason) in [
        ("abc".to_owned(), "invalid JSON"),
        ("a.b.c".to_owned(), "invalid JSON"),
        ("...".to_owned(), "invalid JSON"),
        (format!("{header}.{header}"), "invalid JSON"),
        (format!("{deep}.{deep}.{deep}"), "invalid JSON"),
        (format!("{long}.{long}.{long}"), "invalid JSON"),
        (format!("{array}.{header}.AA"), "invalid JSON"),
        (format!("{header}.{array}.AA"), "invalid claims"),
        (format!("{header}.{header}.?"), "invalid signature"),
        (format!("{header}.{header}.AA.AA"), "invalid signature"),
    ] {
        let refused = verdict(config(json!({})), records(json!({})), &token).await;
        assert_eq!(refused, Err(format!("Bad token; {reason}").into()));
    }
}

#[tokio::test]
async fn the_claim_that_names_the_credential_has_to_be_there() {
    for (claims, expected) in [
        (json!({}), "No mandatory 'iss' in claims"),
        (json!({ "iss": "" }), "Invalid 'iss' in claims"),
        (json!({ "iss": 1 }), "Invalid 'iss' in claims"),
        (json!({ "iss": { "a": 1 } }), "Invalid 'iss' in claims"),
        (
            json!({ "iss": "k2" }),
            "No credentials found for given 'iss'",
        ),
    ] {
        let token = hs256(&claims, b"sec");
        let refused = verdict(config(json!({})), records(json!({})), &token).await;
        assert_eq!(refused, Err(expected.into()));
    }
    // The header of the token may name it as well.
    let by_header = config(json!({ "key_claim_name": "typ" }));
    let token = hs256(&json!({}), b"sec");
    assert_eq!(
        verdict(by_header, records(json!({ "key": "JWT" })), &token).await,
        Ok(())
    );
}

#[tokio::test]
async fn a_token_is_found_in_query_cookie_and_header() {
    let token = hs256(&claims(), b"sec");
    let everywhere = || {
        config(json!({
            "uri_param_names": ["jwt", "t2"], "cookie_names": ["auth"], "header_names": ["authorization", "x-token", "x_alt"],
        }))
    };
    let (cookie, bearer) = (format!("a=b; auth={token}"), format!("bearer  {token}"));
    let (query, twice) = (format!("/?t2={token}"), format!("/?t2={token}&jwt={token}"));
    for (target, headers) in [
        (query.as_str(), vec![]),
        ("/", vec![("Cookie", cookie.as_str())]),
        ("/", vec![("X-Token", bearer.as_str())]),
        ("/", vec![("X-Alt", bearer.as_str())]),
        (
            &twice,
            vec![("Cookie", &cookie), ("Authorization", &bearer)],
        ),
    ] {
        let mut sample = Sample::new("GET", target, &headers);
        assert_eq!(
            access(everywhere(), records(json!({})), &mut sample).await,
            None
        );
        assert_eq!(
            sample.head.headers.get_str("X-Consumer-Username"),
            Some("alice")
        );
    }
    let other = hs256(&json!({ "iss": "k1", "n": 1 }), b"sec");
    let other = format!("Bearer {other}");
    for (target, headers, message, challenge) in [
        (
            "/",
            vec![("Authorization", token.as_str())],
            "Unauthorized",
            "Bearer realm=\"r\"",
        ),
        (
            "/?jwt=&jwt",
            vec![("Authorization", "Bearer ")],
            "Unauthorized",
            "Bearer realm=\"r\"",
        ),
        (
            &query,
            vec![("Authorization", &other)],
            "Multiple tokens provided",
            "Bearer realm=\"r\" error=\"invalid_token\"",
        ),
    ] {
        let mut sample = Sample::new("GET", target, &headers);
        let mut config = everywhere();
        config["realm"] = "r".into();
        let reply = access(config, records(json!({})), &mut sample).await;
        let expected = Reply::message(401, message).with_header("WWW-Authenticate", challenge);
        assert_eq!(reply, Some(expected));
    }
}

#[tokio::test]
async fn anonymous_preflight_and_outage_are_as_for_any_authentication() {
    let mut sample = Sample::new("OPTIONS", "/", &[]);
    let lax = config(json!({ "run_on_preflight": false }));
    assert_eq!(access(lax, records(json!({})), &mut sample).await, None);
    let mut sample = Sample::new("GET", "/", &[("Authorization", "Bearer x")]);
    let anonymous = || config(json!({ "anonymous": "nobody" }));
    assert_eq!(
        access(anonymous(), records(json!({})), &mut sample).await,
        None
    );
    assert_eq!(
        sample.head.headers.get_str("X-Consumer-Username"),
        Some("nobody")
    );
    let bearer = format!("Bearer {}", hs256(&claims(), b"sec"));
    let mut sample = Sample::new("GET", "/", &[("Authorization", &bearer)]);
    let mut away = records(json!({}));
    away.away = true;
    let reply = access(anonymous(), away, &mut sample).await;
    assert_eq!(reply.map(|reply| reply.status), Some(503));
}
