use serde_json::{Value, json};

use super::handler;
use crate::tests::send;

fn passes(settings: &Value, body: &Value) -> bool {
    let mut config = json!({
        "allow_all_conversation_history": false,
        "match_all_roles": false,
        "max_request_body_size": 8192,
        "llm_format": "openai",
    });
    let members = config.as_object_mut().expect("an object");
    members.extend(settings.as_object().expect("an object").clone());
    match send(handler::build, &config, &[], &body.to_string()) {
        Ok(_) => true,
        Err(message) => {
            assert_eq!(message, "bad request");
            false
        }
    }
}

fn chat(messages: &[(&str, &str)]) -> Value {
    let messages: Vec<_> = messages
        .iter()
        .map(|(role, content)| json!({ "role": role, "content": content }))
        .collect();
    json!({ "messages": messages })
}

#[test]
fn what_is_denied_is_refused_even_if_it_is_allowed_too() {
    let both = json!({ "allow_patterns": ["hello"], "deny_patterns": ["evil$"] });
    assert!(passes(&both, &chat(&[("user", "hello you")])));
    assert!(!passes(&both, &chat(&[("user", "hello evil")])));
    assert!(!passes(&both, &chat(&[("user", "you")])));
    assert!(passes(&both, &json!({ "prompt": "hello" })));
    assert!(!passes(&both, &json!({ "prompt": "hello evil" })));
}

#[test]
fn the_whole_conversation_of_the_user_counts_unless_only_the_latest_message_does() {
    let deny = |latest: bool, roles: bool| json!({ "deny_patterns": ["secret"], "allow_all_conversation_history": latest, "match_all_roles": roles });
    let early = chat(&[("user", "secret"), ("assistant", "no"), ("user", "fine")]);
    assert!(!passes(&deny(false, false), &early));
    assert!(passes(&deny(true, false), &early));
    let model = chat(&[("assistant", "secret"), ("user", "fine")]);
    assert!(passes(&deny(false, false), &model));
    assert!(!passes(&deny(false, true), &model));
}

#[test]
fn words_of_two_messages_do_not_run_together() {
    let deny = json!({ "deny_patterns": ["secret"] });
    assert!(passes(&deny, &chat(&[("user", "ret"), ("user", "sec")])));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    for body in [
        json!({ "other": 1 }),
        json!([]),
        json!({ "messages": "hello" }),
        json!({ "messages": {} }),
        json!({ "messages": [{ "content": "hello" }] }),
        json!({ "messages": [{ "role": "user", "content": ["hello"] }] }),
        json!({ "messages": ["hello"] }),
        json!({ "prompt": ["hello"] }),
        json!({ "prompt": "a".repeat(9000) }),
    ] {
        let deny = json!({ "deny_patterns": ["secret"] });
        assert!(!passes(&deny, &body), "{body}");
    }
}

#[test]
fn what_is_said_in_the_language_of_a_provider_is_judged() {
    let deny = |format: &str| json!({ "deny_patterns": ["secret"], "llm_format": format });
    let says = |text: &str| {
        let parts = json!([{ "text": "a" }, { "text": text }]);
        let gemini = json!({ "contents": [{ "parts": parts }] });
        let bedrock = json!({ "messages": [{ "role": "user", "content": parts }] });
        [("gemini", gemini), ("bedrock", bedrock)]
    };
    for (format, body) in says("hello") {
        assert!(passes(&deny(format), &body), "{body}");
    }
    for (format, body) in says("secret") {
        assert!(!passes(&deny(format), &body), "{body}");
    }
    let image = json!([{ "text": "a" }, { "image": {} }]);
    for body in [
        json!({ "messages": [{ "role": "user", "content": image }] }),
        json!({ "contents": [{ "parts": [{ "text": "a" }] }] }),
        json!({ "prompt": "a" }),
    ] {
        assert!(!passes(&deny("bedrock"), &body), "{body}");
    }
}
