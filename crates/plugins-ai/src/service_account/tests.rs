use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use plugin_api::arguments;
use plugin_api::testing::Outside;
use serde_json::Value;

use super::*;
use crate::tests::outside;

fn key() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")
}

fn auth(key: &RsaKeyPair) -> Auth {
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(key).expect("DER");
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let file = json!({
        "client_email": "me@test", "private_key": pem, "private_key_id": "k1",
        "token_uri": "https://token.test/token",
    });
    let auth = json!({ "gcp_service_account_json": file.to_string() });
    serde_json::from_value(auth).expect("a configuration")
}

#[tokio::test]
async fn a_signed_claim_buys_a_token_that_is_kept() {
    let key = key();
    let google = outside(200, r#"{"access_token":"t","expires_in":3599}"#);
    let account = ServiceAccount::of(&auth(&key), &google.services()).expect("an account");
    for _ in 0..2 {
        assert_eq!(account.authorization().await, Ok("Bearer t".to_owned()));
    }
    let asked = google.take_asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].url, "https://token.test/token");
    let assertion = arguments(&asked[0].body).find(|argument| &*argument.name == b"assertion");
    let assertion = assertion
        .and_then(|argument| argument.value)
        .expect("an assertion");
    let assertion = String::from_utf8_lossy(&assertion).into_owned();
    let (signed, signature) = assertion.rsplit_once('.').expect("a signature");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
    assert!(public.verify(signed.as_bytes(), &signature).is_ok());
    let claims = signed.split('.').nth(1).expect("claims");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["iss"], "me@test");
    assert_eq!(claims["exp"], 3600);
}

#[tokio::test]
async fn a_server_that_gives_no_token_is_a_reason() {
    let key = key();
    for (status, answer) in [(403, "{}"), (200, "{}"), (0, "")] {
        let services = outside(status, answer).services();
        let account = ServiceAccount::of(&auth(&key), &services).expect("an account");
        assert!(account.authorization().await.is_err());
    }
}

#[test]
fn a_key_file_that_is_none_is_refused_without_quoting_it() {
    let services = Outside::empty().services();
    for json in [
        "secret",
        "{}",
        r#"{"client_email":"a","private_key":"secret"}"#,
        r#"{"client_email":"a","private_key":5}"#,
    ] {
        let auth = json!({ "gcp_service_account_json": json });
        let auth: Auth = serde_json::from_value(auth).expect("a configuration");
        let failure = ServiceAccount::of(&auth, &services)
            .err()
            .expect("a failure")
            .to_string();
        assert!(
            failure.starts_with("auth.gcp_service_account_json"),
            "{failure}"
        );
        assert!(!failure.contains("secret"), "{failure}");
    }
    assert!(ServiceAccount::of(&Auth::default(), &services).is_err());
}
