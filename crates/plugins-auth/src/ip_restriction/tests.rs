use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Flow, Reply};
use serde_json::{Value, json};

use super::handler;

async fn access(config: Value, client: Option<&str>) -> Option<Reply> {
    let handler = build(handler::build, &config, &services(FakeRecords::default()));
    let handler = handler.expect("a handler");
    let mut sample = Sample::new("GET", "/", &[("X-Forwarded-For", "10.0.0.1")]);
    let client = client.map(|client| client.parse().expect("an address"));
    sample.connection.client = client.map(|ip: std::net::IpAddr| (ip, 1).into());
    let mut exchange = sample.exchange();
    match handler
        .access(&mut exchange)
        .outcome()
        .await
        .expect("an outcome")
    {
        Flow::Next => None,
        Flow::Answer(reply) => Some(*reply),
    }
}

#[tokio::test]
async fn addresses_and_networks_decide_and_deny_wins() {
    let both =
        || json!({ "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.1.0.0/16", "::1"] });
    for (client, passes) in [
        ("10.0.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("2001:db8::1", true),
        ("10.1.2.3", false),
        ("192.0.2.1", false),
        ("::1", false),
    ] {
        assert_eq!(
            access(both(), Some(client)).await.is_none(),
            passes,
            "{client}"
        );
    }
    let deny_only = json!({ "deny": ["10.1.2.3"] });
    assert!(access(deny_only, Some("10.1.2.4")).await.is_none());
}

#[tokio::test]
async fn a_refusal_says_what_is_configured() {
    let plain = json!({ "deny": ["10.0.0.1"] });
    let expected = Reply::error(403, "IP address not allowed: 10.0.0.1");
    assert_eq!(access(plain, Some("10.0.0.1")).await, Some(expected));
    let told = json!({ "deny": ["10.0.0.1"], "status": 451, "message": "no" });
    assert_eq!(
        access(told, Some("10.0.0.1")).await,
        Some(Reply::error(451, "no"))
    );
    assert_eq!(
        access(json!({ "allow": ["::/0"] }), None)
            .await
            .map(|reply| reply.status),
        Some(403)
    );
}
