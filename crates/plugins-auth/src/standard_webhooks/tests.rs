use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use plugin_api::Flow;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use serde_json::json;

use super::handler;

fn signature(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, text.as_bytes())))
}

async fn passes(headers: &[(&str, &str)], body: &'static str) -> bool {
    let config = json!({ "secret_v1": "whsec", "tolerance_second": 300 });
    let services = services(FakeRecords::default());
    let handler = build(handler::build, &config, &services).expect("a handler");
    let mut sample = Sample::new("POST", "/", headers);
    sample.work.body = Some(Bytes::from_static(body.as_bytes()));
    let mut exchange = sample.exchange();
    match handler.access(&mut exchange).outcome().await {
        Ok(Flow::Next) => true,
        Ok(Flow::Answer(reply)) => {
            assert_eq!(reply.status, 400);
            false
        }
        Err(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn only_what_was_signed_with_the_secret_in_time_passes() {
    // The clock of the tests stands at 0.
    let good = signature("whsec", "msg.-300.body");
    let (id, time, sign) = ("webhook-id", "webhook-timestamp", "webhook-signature");
    assert!(passes(&[(id, "msg"), (time, "-300"), (sign, &good)], "body").await);
    for (headers, body) in [
        (vec![(time, "-300"), (sign, good.as_str())], "body"),
        (vec![(id, "msg"), (sign, &good)], "body"),
        (vec![(id, "msg"), (time, "-300")], "body"),
        (vec![(id, "other"), (time, "-300"), (sign, &good)], "body"),
        (vec![(id, "msg"), (time, "-299"), (sign, &good)], "body"),
        (vec![(id, "msg"), (time, "-300"), (sign, &good)], "other"),
        (
            vec![
                (id, "msg"),
                (time, "-300"),
                (sign, good.trim_start_matches("v1,")),
            ],
            "body",
        ),
        (
            vec![
                (id, "msg"),
                (time, "-300"),
                (sign, &signature("guess", "msg.-300.body")),
            ],
            "body",
        ),
        (
            vec![
                (id, "msg"),
                (time, "-301"),
                (sign, &signature("whsec", "msg.-301.body")),
            ],
            "body",
        ),
        (
            vec![
                (id, "msg"),
                (time, "x"),
                (sign, &signature("whsec", "msg.x.body")),
            ],
            "body",
        ),
        (
            vec![
                (id, "msg"),
                (time, "-300"),
                (sign, &signature("whsec", "msg.-300.")),
            ],
            "",
        ),
    ] {
        assert!(!passes(&headers, body).await, "{headers:?} {body}");
    }
}
