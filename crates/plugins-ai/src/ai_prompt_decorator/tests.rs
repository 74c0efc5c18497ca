use plugin_api::testing::{FakeRecords, build, services};
use serde_json::{Value, json};

use super::handler;
use crate::tests::send;

fn config() -> Value {
    json!({
        "prompts": {
            "prepend": [{ "role": "system", "content": "be brief" }],
            "append": [{ "role": "user", "content": "bye" }],
        },
        "max_request_body_size": 200,
        "llm_format": "openai",
    })
}

/// The body that the upstream gets, or the message of the refusal.
fn decorated(headers: &[(&str, &str)], body: &str) -> Result<Value, String> {
    let passed = send(handler::build, &config(), headers, body)?;
    assert_eq!(passed.content_type.as_deref(), Some("application/json"));
    Ok(serde_json::from_str(&passed.body).expect("JSON"))
}

#[test]
fn messages_are_put_around_those_of_the_client() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
    let expected = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": "a" },
            { "role": "user", "content": "bye" },
        ],
    });
    assert_eq!(decorated(&[], body).expect("a body"), expected);
    let said = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(decorated(&said, body).expect("a body"), expected);
}

#[test]
fn a_request_without_messages_is_refused() {
    let long = json!({ "messages": [{ "role": "user", "content": "a".repeat(200) }] }).to_string();
    for (headers, body) in [
        (&[][..], r#"{"prompt":"a"}"#),
        (&[], r#"{"messages":[]}"#),
        (&[], r#"{"messages":"a"}"#),
        (&[], r#"{"messages":{"0":"a"}}"#),
        (&[], r#"["messages"]"#),
        (&[], r#"{"messages":[{}"#),
        (&[], ""),
        (&[], &long),
        (
            &[("Content-Type", "text/plain")],
            r#"{"messages":[{"role":"user","content":"a"}]}"#,
        ),
    ] {
        assert_eq!(
            decorated(headers, body),
            Err("this LLM route only supports llm/chat type requests".to_owned()),
            "{body}"
        );
    }
}

#[test]
fn formats_that_are_not_understood_are_refused_by_name() {
    let mut config = config();
    config["llm_format"] = json!("gemini");
    let services = services(FakeRecords::default());
    let failure = build(handler::build, &config, &services)
        .err()
        .expect("a failure");
    assert!(failure.to_string().contains("llm_format"), "{failure}");
}
