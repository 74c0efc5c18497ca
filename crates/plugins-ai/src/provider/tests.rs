use serde_json::json;

use super::*;

fn model(provider: &str, options: &Value) -> Model {
    let model = json!({ "provider": provider, "name": "m", "options": options });
    serde_json::from_value(model).expect("a model")
}

fn asked(model: &Model, route: RouteType, asked: &Value) -> Value {
    let members = asked.as_object().expect("an object").clone();
    Value::Object(request(model, route, members).expect("a request"))
}

fn answered(model: &Model, route: RouteType, body: &Value) -> Value {
    let body = body.to_string();
    let answer = answer(model, route, body.as_bytes()).expect("an answer");
    serde_json::from_slice(&answer).expect("JSON")
}

fn refused(model: &Model, body: &str) -> String {
    answer(model, RouteType::Chat, body.as_bytes()).expect_err("a refusal")
}

fn chunk(model: &Model, route: RouteType, name: Option<&str>, data: &Value) -> Translated {
    let one = Event {
        name: name.map(str::to_owned),
        data: data.to_string(),
    };
    event(model, route, one, &mut Remembered::default())
}

fn said(translated: &Translated) -> &Value {
    match &translated.data {
        Some(Data::Chunk(chunk)) => &chunk["choices"][0],
        other => panic!("{other:?} is no chunk"),
    }
}

fn conversation() -> Value {
    json!({
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": "a" },
            { "role": "assistant", "content": "b" },
            { "role": "user", "content": "c" },
        ],
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.9,
    })
}

fn with_tools() -> Value {
    json!({
        "messages": [
            { "role": "user", "content": "weather?" },
            { "role": "assistant", "content": null, "tool_calls": [{
                "id": "t1", "type": "function",
                "function": { "name": "look", "arguments": "{\"at\":\"x\"}" },
            }] },
            { "role": "tool", "tool_call_id": "t1", "content": "{\"sky\":\"blue\"}" },
        ],
        "tools": [{ "type": "function", "function": {
            "name": "look", "description": "d", "parameters": { "type": "object" },
        } }],
    })
}

#[test]
fn anthropic_is_asked_with_its_system_prompt_apart() {
    let claude = model("anthropic", &json!(null));
    assert_eq!(
        asked(&claude, RouteType::Chat, &conversation()),
        json!({
            "system": "be brief",
            "messages": [
                { "role": "user", "content": "a" },
                { "role": "assistant", "content": "b" },
                { "role": "user", "content": "c" },
            ],
            "max_tokens": 5, "temperature": 0.5, "model": "m", "stream": false,
        })
    );
    let tools = asked(&claude, RouteType::Chat, &with_tools());
    assert_eq!(
        tools["messages"][1]["content"],
        json!([{ "type": "tool_use", "id": "t1", "name": "look", "input": { "at": "x" } }])
    );
    assert_eq!(tools["messages"][2]["content"][0]["tool_use_id"], "t1");
    assert_eq!(
        tools["tools"][0]["input_schema"],
        json!({ "type": "object" })
    );
    let completion = json!({ "prompt": "once", "max_tokens": 5 });
    assert_eq!(
        asked(&claude, RouteType::Completions, &completion),
        json!({
            "prompt": "Human: once\n\nAssistant:", "max_tokens_to_sample": 5,
            "model": "m", "stream": false,
        })
    );
}

#[test]
fn anthropic_answers_with_texts_and_tools() {
    let claude = model("anthropic", &json!(null));
    let answer = answered(
        &claude,
        RouteType::Chat,
        &json!({ "content": [
            { "type": "text", "text": "a" },
            { "type": "text", "text": "b" },
            { "type": "tool_use", "id": "t", "name": "look", "input": { "at": "x" } },
        ] }),
    );
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "a\nb");
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"at\":\"x\"}"
    );
    let completion = json!({ "completion": "upon", "stop_reason": "stop", "model": "m" });
    let answer = answered(&claude, RouteType::Completions, &completion);
    assert_eq!(answer["choices"][0]["text"], "upon");
    assert_eq!(
        refused(&claude, "{\"error\":{}}"),
        "transformation failed from type anthropic://llm/v1/chat: 'content' not in \
         anthropic://llm/v1/chat response"
    );
}

#[test]
fn cohere_is_asked_with_the_last_message_apart() {
    let cohere = model("cohere", &json!({ "top_k": 2 }));
    assert_eq!(
        asked(&cohere, RouteType::Chat, &conversation()),
        json!({
            "message": "c",
            "chat_history": [
                { "role": "USER", "message": "be brief" },
                { "role": "USER", "message": "a" },
                { "role": "CHATBOT", "message": "b" },
            ],
            "max_tokens": 5, "temperature": 0.5, "p": 0.9, "k": 2, "model": "m", "stream": false,
        })
    );
    let answer = answered(
        &cohere,
        RouteType::Chat,
        &json!({ "text": "hi", "generation_id": "g", "meta": {
            "billed_units": { "input_tokens": 2, "output_tokens": 3 },
        } }),
    );
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    assert_eq!(answer["usage"]["total_tokens"], 5);
    let generated = json!({ "prompt": "p", "generations": [{ "text": "x" }, { "text": "y" }] });
    let answer = answered(&cohere, RouteType::Completions, &generated);
    assert_eq!(
        answer["choices"][1],
        json!({ "index": 1, "text": "y", "finish_reason": "stop" })
    );
    assert!(refused(&cohere, "{}").ends_with("missing from cohere response body"));
}

#[test]
fn cohere_streams_text_until_it_says_what_was_used() {
    let cohere = model("cohere", &json!(null));
    let text = json!({ "event_type": "text-generation", "text": "hi" });
    let chat = chunk(&cohere, RouteType::Chat, None, &text);
    assert_eq!(said(&chat)["delta"]["content"], "hi");
    let completion = chunk(&cohere, RouteType::Completions, None, &text);
    assert_eq!(said(&completion)["text"], "hi");
    let end = json!({ "event_type": "stream-end", "response": {
        "token_count": { "prompt_tokens": 1, "response_tokens": 2 },
    } });
    assert_eq!(
        chunk(&cohere, RouteType::Chat, None, &end),
        Translated {
            data: Some(Data::Done),
            tokens: Some(Tokens {
                prompt: 1,
                completion: 2
            }),
        }
    );
}

#[test]
fn gemini_is_asked_with_contents_and_parts() {
    let gemini = model("gemini", &json!(null));
    assert_eq!(
        asked(&gemini, RouteType::Chat, &conversation()),
        json!({
            "systemInstruction": { "parts": [{ "text": "be brief" }] },
            "contents": [
                { "role": "user", "parts": [{ "text": "a" }] },
                { "role": "model", "parts": [{ "text": "b" }] },
                { "role": "user", "parts": [{ "text": "c" }] },
            ],
            "generationConfig": { "maxOutputTokens": 5, "temperature": 0.5, "topP": 0.9 },
        })
    );
    let tools = asked(&gemini, RouteType::Chat, &with_tools());
    assert_eq!(
        tools["contents"][1]["parts"][0]["function_call"]["name"],
        "look"
    );
    let answer = &tools["contents"][2]["parts"][0]["function_response"];
    assert_eq!(answer["name"], "look");
    let image = |url: &str| {
        let part = json!({ "type": "image_url", "image_url": { "url": url } });
        let request = json!({ "messages": [{ "role": "user", "content": [part] }] });
        asked(&gemini, RouteType::Chat, &request)["contents"][0]["parts"][0].clone()
    };
    assert_eq!(
        image("data:image/png;base64,AAAA"),
        json!({ "inlineData": { "data": "AAAA", "mimeType": "image/png" } })
    );
    assert_eq!(image("https://x/y")["fileData"]["fileUri"], "https://x/y");
    let completion = Members::from_iter([("prompt".to_owned(), json!("x"))]);
    assert_eq!(
        request(&gemini, RouteType::Completions, completion),
        Err("no transformer for gemini://llm/v1/completions".to_owned())
    );
}

#[test]
fn gemini_answers_with_its_first_candidate() {
    let gemini = model("gemini", &json!(null));
    let candidate = json!({ "candidates": [{
        "content": { "parts": [{ "text": "hi" }] }, "finishReason": "STOP",
    }], "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3 } });
    let answer = answered(&gemini, RouteType::Chat, &candidate);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["total_tokens"], 3);
    let event = chunk(&gemini, RouteType::Chat, None, &candidate);
    assert_eq!(
        said(&event)["delta"],
        json!({ "content": "hi", "role": "assistant" })
    );
    assert_eq!(
        event.tokens,
        Some(Tokens {
            prompt: 1,
            completion: 2
        })
    );
    let call = json!({ "candidates": [{ "content": { "parts": [
        { "functionCall": { "name": "look", "args": { "at": "x" } } },
    ] } }] });
    let answer = answered(&gemini, RouteType::Chat, &call);
    let function = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(
        *function,
        json!({ "name": "look", "arguments": "{\"at\":\"x\"}" })
    );
    assert!(refused(&gemini, "{\"candidates\":[]}").contains("no generation candidates"));
}

#[test]
fn bedrock_is_asked_as_its_converse_api_wants() {
    let bedrock = model("bedrock", &json!(null));
    let request_of = asked(&bedrock, RouteType::Chat, &conversation());
    assert_eq!(request_of["system"], json!([{ "text": "be brief" }]));
    assert_eq!(
        request_of["messages"][0],
        json!({ "role": "user", "content": [{ "text": "a" }] })
    );
    let inference = json!({ "maxTokens": 5, "temperature": 0.5, "topP": 0.9 });
    assert_eq!(request_of["inferenceConfig"], inference);
    let tools = asked(&bedrock, RouteType::Chat, &with_tools());
    let used = &tools["messages"][1]["content"][0]["toolUse"];
    assert_eq!(used["input"], json!({ "at": "x" }));
    let result = &tools["messages"][2]["content"][0]["toolResult"];
    assert_eq!(result["content"], json!([{ "json": { "sky": "blue" } }]));
    let spec = &tools["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(spec["inputSchema"]["json"], json!({ "type": "object" }));
    let mut titan = bedrock.clone();
    titan.name = Some("amazon.titan-text-express-v1".to_owned());
    let members = conversation().as_object().expect("an object").clone();
    let reason = request(&titan, RouteType::Chat, members).expect_err("a refusal");
    assert!(
        reason.contains("system prompts are unsupported"),
        "{reason}"
    );
}

#[test]
fn bedrock_answers_and_streams() {
    let bedrock = model("bedrock", &json!(null));
    let answer = answered(
        &bedrock,
        RouteType::Chat,
        &json!({
            "output": { "message": { "content": [
                { "text": "hi" },
                { "toolUse": { "toolUseId": "t", "name": "look", "input": { "at": "x" } } },
            ] } },
            "stopReason": "tool_use",
            "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        }),
    );
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "hi");
    assert_eq!(choice["message"]["tool_calls"][0]["id"], "t");
    assert!(refused(&bedrock, "{}").contains("no generation candidates"));
    let of = |name: &str, data: Value| chunk(&bedrock, RouteType::Chat, Some(name), &data);
    let delta = of("contentBlockDelta", json!({ "delta": { "text": "hi" } }));
    assert_eq!(said(&delta)["delta"]["content"], "hi");
    let tool = json!({ "contentBlockIndex": 1, "start": { "toolUse": { "name": "look" } } });
    let start = of("contentBlockStart", tool);
    assert_eq!(said(&start)["delta"]["tool_calls"][0]["index"], 1);
    let stop = of("messageStop", json!({ "stopReason": "max_tokens" }));
    assert_eq!(said(&stop)["finish_reason"], "length");
    let end = of(
        "metadata",
        json!({ "usage": { "inputTokens": 1, "outputTokens": 2 } }),
    );
    assert_eq!(end.data, Some(Data::Done));
    assert_eq!(of("contentBlockStop", json!({})), Translated::default());
}

#[test]
fn hugging_face_has_parameters_and_options() {
    let face = model(
        "huggingface",
        &json!({ "huggingface": { "use_cache": true } }),
    );
    let prompt =
        json!({ "prompt": "once", "max_tokens": 5, "top_p": 0.9, "parameters": { "top_p": 0.1 } });
    assert_eq!(
        asked(&face, RouteType::Completions, &prompt),
        json!({
            "inputs": "once", "model": "m",
            "options": { "use_cache": true, "wait_for_model": false },
            "parameters": { "top_p": 0.1, "max_new_tokens": 5 },
        })
    );
    let answer = answered(
        &face,
        RouteType::Completions,
        &json!([{ "generated_text": "upon" }]),
    );
    assert_eq!(answer["choices"][0]["message"]["content"], "upon");
    assert!(refused(&face, "{\"error\":\"busy\"}").ends_with("API error: busy"));
    assert!(refused(&face, "{}").ends_with("Invalid response format"));
    let event = json!({ "choices": [{ "delta": { "content": "hi" } }] });
    assert_eq!(
        said(&chunk(&face, RouteType::Chat, None, &event))["delta"]["content"],
        "hi"
    );
    let event = json!({ "token": { "text": "hi" } });
    assert_eq!(
        said(&chunk(&face, RouteType::Completions, None, &event))["text"],
        "hi"
    );
}

#[test]
fn ollama_has_options_and_counts() {
    let options = json!({ "mistral_format": "ollama", "max_tokens": 7 });
    let ollama = model("mistral", &options);
    let request = asked(&ollama, RouteType::Chat, &conversation());
    let expected = json!({ "num_predict": 7, "temperature": 0.5, "top_p": 0.9 });
    assert_eq!(request["options"], expected);
    let message = json!({ "role": "assistant", "content": "hi" });
    let answer =
        json!({ "model": "m", "message": message, "eval_count": 7, "prompt_eval_count": 1 });
    let answer = answered(&ollama, RouteType::Chat, &answer);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 8);
    let event = chunk(
        &ollama,
        RouteType::Chat,
        None,
        &json!({ "message": message }),
    );
    assert_eq!(said(&event)["delta"]["content"], "hi");
    let end = json!({ "done": true, "eval_count": 2 });
    assert_eq!(
        chunk(&ollama, RouteType::Chat, None, &end).data,
        Some(Data::Done)
    );
}

#[test]
fn llama_has_marks_in_its_text() {
    let llama = model("llama2", &json!({ "llama2_format": "raw" }));
    let request = asked(&llama, RouteType::Chat, &conversation());
    assert_eq!(
        request["inputs"],
        "<s>[INST] <<SYS>> be brief <</SYS>> a [/INST] b </s> <s>[INST] c [/INST]"
    );
    assert_eq!(request["parameters"]["max_new_tokens"], 5);
    let answer = json!({ "data": [{ "generated_text": "q [/INST] hi " }] });
    let answer = answered(&llama, RouteType::Chat, &answer);
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    assert!(
        refused(&llama, "{\"data\":[]}").ends_with("response data is empty from llama2 endpoint")
    );
    assert!(refused(&llama, "{}").ends_with("cannot parse response from llama2 endpoint"));
}

#[test]
fn nonsense_never_panics() {
    let values = [
        "null",
        "5",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "[null]",
        "{\"choices\":5}",
        "{\"content\":5}",
        "{\"messages\":[5]}",
        "{\"message\":5,\"text\":5}",
        "{\"candidates\":[{\"content\":5}]}",
        "{\"output\":{\"message\":{\"content\":[5]}}}",
        "{\"data\":[5]}",
        "{\"content\":[5]}",
        "{\"message\":{}}",
        "{\"usage\":5,\"content\":[]}",
        "\u{feff}",
    ];
    let raw = json!({ "llama2_format": "raw" });
    for (provider, options) in [
        ("openai", json!(null)),
        ("anthropic", json!(null)),
        ("cohere", json!(null)),
        ("gemini", json!(null)),
        ("bedrock", json!(null)),
        ("huggingface", json!(null)),
        ("mistral", json!({ "mistral_format": "ollama" })),
        ("llama2", raw),
    ] {
        let model = model(provider, &options);
        for route in [RouteType::Chat, RouteType::Completions] {
            for value in values {
                let _ = answer(&model, route, value.as_bytes());
                for name in [
                    None,
                    Some("message_start"),
                    Some("contentBlockStart"),
                    Some("metadata"),
                ] {
                    let one = Event {
                        name: name.map(str::to_owned),
                        data: value.to_owned(),
                    };
                    let _ = event(&model, route, one, &mut Remembered::default());
                }
                if let Ok(Value::Object(members)) = serde_json::from_str(value) {
                    let _ = request(&model, route, members);
                }
                for message in [
                    "5",
                    "{}",
                    "{\"role\":\"tool\"}",
                    "{\"role\":\"assistant\",\"tool_calls\":[5]}",
                ] {
                    let message: Value = serde_json::from_str(message).expect("JSON");
                    let members = json!({ "messages": [message], "tools": [5], "prompt": 5 });
                    let _ = request(
                        &model,
                        route,
                        members.as_object().expect("an object").clone(),
                    );
                }
            }
        }
    }
}
