use serde_json::{Value, json};

use super::handler;
use crate::tests::send;

const GREET: &str =
    r#"{"messages":[{"role":"user","content":"Say {{what}} to {{who}}, {{ {{what}} }}"}]}"#;

fn config(untemplated: bool) -> Value {
    json!({
        "templates": [
            { "name": "greet", "template": GREET },
            { "name": "plain", "template": "{}" },
            { "name": "plain", "template": "never seen" },
        ],
        "allow_untemplated_requests": untemplated,
        "log_original_request": true,
        "max_request_body_size": 300,
    })
}

/// The body that the upstream gets, or the message of the refusal.
fn rendered(untemplated: bool, body: &Value) -> Result<String, String> {
    let sent = body.to_string();
    let passed = send(handler::build, &config(untemplated), &[], &sent)?;
    let logged = &passed.log_edits[0];
    assert_eq!(logged.path, "ai.payload.original_request");
    assert_eq!(logged.value, Some(Value::from(sent)));
    Ok(passed.body)
}

fn asked(properties: &Value) -> Value {
    json!({ "messages": "{template://greet}", "properties": properties })
}

#[test]
fn values_stand_in_the_places_of_their_names_and_nowhere_else() {
    let body = rendered(
        true,
        &asked(&json!({ "what": "{{who}}", "who": "a \"friend\"\n", "unused": "x" })),
    );
    let body: Value = serde_json::from_str(&body.expect("a body")).expect("JSON");
    assert_eq!(
        body["messages"][0]["content"],
        "Say {{who}} to a \"friend\"\n, {{ {{who}} }}"
    );
    assert_eq!(
        rendered(false, &json!({ "prompt": "{template://plain}" })).as_deref(),
        Ok("{}")
    );
}

#[test]
fn each_missing_value_is_named_once() {
    assert_eq!(
        rendered(true, &json!({ "messages": "{template://greet}" })).expect_err("no values"),
        "missing template parameters: [what], [who]"
    );
    assert_eq!(
        rendered(true, &asked(&json!({ "what": "x" }))).expect_err("one value"),
        "missing template parameters: [who]"
    );
}

#[test]
fn values_have_to_be_texts_by_name() {
    for (properties, message) in [
        (
            json!({ "what": 1 }),
            "property values must be a string, got number",
        ),
        (
            json!({ "what": {} }),
            "property values must be a string, got table",
        ),
        (json!(["x"]), "properties must be an object"),
    ] {
        assert_eq!(rendered(true, &asked(&properties)), Err(message.to_owned()));
    }
}

#[test]
fn requests_that_name_no_template_pass_only_if_that_is_allowed() {
    let chat = json!({ "messages": [{ "role": "user", "content": "{template://greet}" }] });
    assert_eq!(rendered(true, &chat), Ok(chat.to_string()));
    let refused = "this LLM route only supports templated requests";
    assert_eq!(rendered(false, &chat), Err(refused.to_owned()));
    for (body, message) in [
        (
            json!({ "messages": "{template://no}" }),
            "could not find template name [no]",
        ),
        (
            json!({ "messages": "x", "prompt": "y" }),
            "cannot run 'messages' and 'prompt' templates at the same time",
        ),
        (
            json!({ "other": 1 }),
            "only 'llm/v1/chat' and 'llm/v1/completions' formats are supported for templating",
        ),
        (
            json!([]),
            "this LLM route only supports application/json requests",
        ),
        (
            json!({ "prompt": "a".repeat(300) }),
            "this LLM route only supports application/json requests",
        ),
    ] {
        assert_eq!(rendered(true, &body), Err(message.to_owned()));
    }
}
