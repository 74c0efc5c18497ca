use plugin_api::testing::Sample;
use serde_json::{Value, json};

use super::Native::{Bedrock, Gemini};
use super::*;

fn members(body: Value) -> Members {
    let Value::Object(members) = body else {
        panic!("an object")
    };
    members
}

#[test]
fn the_path_names_model_and_verb() {
    for (native, path, model, streams) in [
        (
            Gemini,
            "/v1beta/models/gemini-1.5-pro:generateContent?alt=sse",
            Some("gemini-1.5-pro"),
            false,
        ),
        (
            Gemini,
            "/p/models/a/models/b:streamGenerateContent",
            Some("b"),
            true,
        ),
        (
            Bedrock,
            "/here/model/amazon.nova-v1%3A0/converse-stream",
            Some("amazon.nova-v1:0"),
            true,
        ),
        (
            Bedrock,
            "/model/arn%3Aaws%3A1%3Ax%2Fy/converse",
            Some("arn:aws:1:x/y"),
            false,
        ),
        (Bedrock, "/model/m", None, false),
        (Bedrock, "/model//converse-stream", None, false),
        (Gemini, "/models/m", None, false),
        (Gemini, "/", None, false),
    ] {
        let mut sample = Sample::new("POST", path, &[]);
        let operation = native.operation(&sample.exchange());
        let model = model.map(str::to_owned);
        assert_eq!(operation, Operation { model, streams }, "{path}");
    }
}

#[test]
fn messages_are_read_as_openais_language_has_them() {
    let bedrock = members(json!({
        "system": [{ "text": "be" }, { "text": "brief" }, { "cachePoint": { "type": "default" } }],
        "messages": [
            { "role": "user", "content": [{ "text": "turn" }, { "text": "on" }] },
            { "role": "assistant", "content": [
                { "text": "so" }, { "toolUse": { "input": { "at": "door" } } },
            ] },
            { "role": "user", "content": [{ "toolResult": { "content": [{ "json": { "a": "lit" } }] } }] },
            { "role": "user", "content": [{ "toolResult": {} }, { "text": "and" }] },
            { "role": "user", "content": [{ "text": "see" }, { "image": { "source": { "bytes": "AA==" } } }] },
            { "role": "user" },
        ],
    }));
    let expected = json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "turn on" },
        { "role": "assistant", "content": "so door" },
        { "role": "tool", "content": "lit" },
        { "role": "user", "content": "and" },
        { "role": "user", "content": null },
        { "role": "user", "content": null },
    ]);
    assert_eq!(Bedrock.messages(&bedrock).map(Value::Array), Some(expected));
    let gemini = members(json!({
        "system_instruction": { "parts": { "text": "be brief" } },
        "contents": [
            { "parts": { "text": "turn on" } },
            { "role": "model", "parts": [{ "functionCall": { "name": "light", "args": {} } }] },
            { "role": "function", "parts": [{ "functionResponse": { "response": { "content": "lit" } } }] },
            { "role": "user", "parts": [{ "inlineData": { "data": "AA==" } }] },
        ],
    }));
    let expected = json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "turn on" },
        { "role": "assistant", "content": "light" },
        { "role": "tool", "content": "lit" },
        { "role": "user", "content": null },
    ]);
    assert_eq!(Gemini.messages(&gemini).map(Value::Array), Some(expected));
    let single = members(json!({ "contents": { "role": "user", "parts": [{ "text": "hi" }] } }));
    let expected = json!([{ "role": "user", "content": "hi" }]);
    assert_eq!(Gemini.messages(&single).map(Value::Array), Some(expected));
}

#[test]
fn a_request_without_messages_has_none() {
    for body in [
        json!({}),
        json!({ "messages": [], "contents": [] }),
        json!({ "messages": null, "contents": null }),
    ] {
        let body = members(body);
        assert_eq!(Bedrock.messages(&body), None);
        assert_eq!(Gemini.messages(&body), None);
        assert_eq!(Gemini.decorate(&mut body.clone(), &[], &[]), None);
    }
    for odd in [
        json!("x"),
        json!(["x"]),
        json!([["x"]]),
        json!([{ "content": "x", "parts": "x" }]),
    ] {
        let body = members(json!({ "messages": odd, "contents": odd }));
        for native in [Bedrock, Gemini] {
            let messages = native.messages(&body).expect("messages");
            assert_eq!(messages[0]["content"], Value::Null, "{odd}");
        }
    }
}

#[test]
fn messages_are_put_around_those_of_the_client() {
    let said = |role: &str, content: &str| json!({ "role": role, "content": content });
    let prepend = [said("system", "be brief"), said("assistant", "hello")];
    let append = [said("user", "bye"), said("system", "and kind")];
    let mut body = members(json!({
        "system": [{ "text": "be a bot" }],
        "messages": [{ "role": "user", "content": [{ "text": "hi" }] }],
        "inferenceConfig": { "maxTokens": 1.50 },
    }));
    Bedrock
        .decorate(&mut body, &prepend, &append)
        .expect("it has messages");
    assert_eq!(
        Value::Object(body),
        json!({
            "system": [{ "text": "be brief" }, { "text": "be a bot" }, { "text": "and kind" }],
            "messages": [
                { "role": "assistant", "content": [{ "text": "hello" }] },
                { "role": "user", "content": [{ "text": "hi" }] },
                { "role": "user", "content": [{ "text": "bye" }] },
            ],
            "inferenceConfig": { "maxTokens": 1.50 },
        })
    );
    for (given, name) in [
        (json!({}), "systemInstruction"),
        (json!({ "system_instruction": null }), "system_instruction"),
    ] {
        let mut body = members(given);
        body.insert(
            "contents".to_owned(),
            json!({ "parts": [{ "text": "hi" }] }),
        );
        Gemini
            .decorate(&mut body, &prepend, &append)
            .expect("it has messages");
        assert_eq!(
            Value::Object(body),
            json!({
                name: { "parts": [{ "text": "be brief" }, { "text": "and kind" }] },
                "contents": [
                    { "role": "model", "parts": [{ "text": "hello" }] },
                    { "parts": [{ "text": "hi" }] },
                    { "role": "user", "parts": [{ "text": "bye" }] },
                ],
            })
        );
    }
}

#[test]
fn answers_say_what_was_used() {
    let bedrock = json!({ "usage": { "inputTokens": 3, "outputTokens": 2 } });
    let both = Tokens {
        prompt: 3,
        completion: 2,
    };
    assert_eq!(Bedrock.tokens(&bedrock), Some(both));
    assert_eq!(Bedrock.answered_by(&json!({ "modelVersion": "m" })), None);
    let gemini = json!({
        "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 2 }, "modelVersion": "m-2",
    });
    assert_eq!(Gemini.tokens(&gemini), Some(both));
    assert_eq!(Gemini.answered_by(&gemini), Some("m-2"));
    for nothing in [
        json!(null),
        json!([]),
        json!({ "usage": 5, "usageMetadata": [] }),
    ] {
        assert_eq!(Bedrock.tokens(&nothing), None);
        assert_eq!(Gemini.tokens(&nothing), None);
    }
}
