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
fn clients_may_speak_the_language_of_a_provider() {
    let mut config = config();
    config["llm_format"] = json!("gemini");
    let body = r#"{"contents":[{"parts":[{"text":"a"}]}]}"#;
    let passed = send(handler::build, &config, &[], body).expect("it is let through");
    let passed: Value = serde_json::from_str(&passed.body).expect("JSON");
    assert_eq!(
        passed,
        json!({
            "systemInstruction": { "parts": [{ "text": "be brief" }] },
            "contents": [
                { "parts": [{ "text": "a" }] },
                { "role": "user", "parts": [{ "text": "bye" }] },
            ],
        })
    );
    let openai = r#"{"messages":[{"role":"user","content":"a"}]}"#;
    assert!(send(handler::build, &config, &[], openai).is_err());
}
