use plugin_api::Flow;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use serde_json::json;

use super::{handler, hash};

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

/// Whether a value of `Authorization` lets a client in.
async fn passes(authorization: &str) -> bool {
    let records = FakeRecords::default()
        .with("consumers", json!({ "id": ALICE, "username": "alice" }))
        .with(
            "basicauth_credentials",
            json!({
                "id": "00000000-0000-0000-0000-00000000000c", "username": "al",
                "password": hash::of(ALICE, b"se:cret"), "consumer": { "id": ALICE },
            }),
        );
    let config = json!({ "hide_credentials": true, "anonymous": null, "realm": "service" });
    let handler = build(handler::build, &config, &services(records)).expect("a handler");
    let mut sample = Sample::new("GET", "/", &[("Authorization", authorization)]);
    let mut exchange = sample.exchange();
    let flow = handler
        .access(&mut exchange)
        .outcome()
        .await
        .expect("an outcome");
    assert!(!sample.head.headers.contains("Authorization"));
    match flow {
        Flow::Next => {
            assert_eq!(
                sample.head.headers.get_str("X-Credential-Identifier"),
                Some("al")
            );
            true
        }
        Flow::Answer(reply) => {
            assert_eq!(reply.status, 401);
            false
        }
    }
}

#[tokio::test]
async fn only_the_right_name_with_the_right_password_passes() {
    for (authorization, expected) in [
        ("Basic YWw6c2U6Y3JldA==", true), // al:se:cret
        ("basic  YWw6c2U6Y3JldA==", true),
        ("Basic YWw6c2U6Y3JldA", true),    // without padding
        ("Basic YWw6d3Jvbmc=", false),     // al:wrong
        ("Basic Ym9iOnNlOmNyZXQ=", false), // bob:se:cret
        ("Basic OnNlOmNyZXQ=", false),     // :se:cret
        ("Basic YWw=", false),             // al
        ("Basic !", false),
        ("Bearer YWw6c2U6Y3JldA==", false),
        ("Basic", false),
    ] {
        assert_eq!(passes(authorization).await, expected, "{authorization}");
    }
}
