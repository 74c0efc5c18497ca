//! Anthropic: the Messages API for chats, the older text completions for completions.

use serde_json::{Value, json};

use super::{
    Data, Members, Remembered, Translated, carry, count, event_data, is_streamed, object, present,
    set_model, text, usage,
};
use crate::events::Event;
use crate::settings::{Model, RouteType};
use crate::usage::Tokens;

pub(super) fn request(
    model: &Model,
    route: RouteType,
    mut request: Members,
) -> Result<Members, String> {
    let mut asked = Members::new();
    let streamed = is_streamed(&request);
    asked.insert("stream".to_owned(), Value::Bool(streamed));
    set_model(model, &mut request, &mut asked);
    carry(&mut request, "temperature", &mut asked, "temperature");
    if route == RouteType::Completions {
        let prompt = request.get("prompt").and_then(Value::as_str);
        let prompt = prompt.ok_or("request is missing .prompt and .messages commands")?;
        let prompt = format!("Human: {prompt}\n\nAssistant:");
        asked.insert("prompt".to_owned(), Value::String(prompt));
        carry(
            &mut request,
            "max_tokens",
            &mut asked,
            "max_tokens_to_sample",
        );
        return Ok(asked);
    }
    carry(&mut request, "max_tokens", &mut asked, "max_tokens");
    let Some(Value::Array(messages)) = request.remove("messages") else {
        return Err("request is missing .messages command".to_owned());
    };
    let mut kept = Vec::with_capacity(messages.len());
    for message in messages {
        match text(&message, "role") {
            Some("assistant") if present(&message, "tool_calls").is_some() => {
                let calls = message["tool_calls"].as_array();
                let calls: Result<Vec<Value>, String> =
                    calls.into_iter().flatten().map(tool_use).collect();
                kept.push(json!({ "role": "assistant", "content": calls? }));
            }
            Some("assistant" | "user") => kept.push(message),
            Some("tool") => kept.push(json!({
                "role": "user",
                "content": [{
                    "type": "tool_result",
                    "tool_use_id": message["tool_call_id"],
                    "content": message["content"],
                }],
            })),
            _ => {
                asked.insert("system".to_owned(), message["content"].clone());
            }
        }
    }
    asked.insert("messages".to_owned(), Value::Array(kept));
    if let Some(Value::Array(tools)) = request.remove("tools") {
        let tools = tools.into_iter().filter_map(tool);
        asked.insert("tools".to_owned(), tools.collect());
    }
    carry(&mut request, "tool_choice", &mut asked, "tool_choice");
    Ok(asked)
}

/// A call of a tool that the model has made.
fn tool_use(call: &Value) -> Result<Value, String> {
    let function = &call["function"];
    let arguments = function["arguments"].as_str().unwrap_or("{}");
    let input: Value = serde_json::from_str(arguments)
        .map_err(|_| "the arguments of a tool call are no JSON".to_owned())?;
    Ok(json!({
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": input,
    }))
}

/// The declaration of a tool.
fn tool(mut tool: Value) -> Option<Value> {
    let Value::Object(mut function) = tool.get_mut("function")?.take() else {
        return None;
    };
    if let Some(parameters) = function.remove("parameters") {
        function.insert("input_schema".to_owned(), parameters);
    }
    Some(Value::Object(function))
}

pub(super) fn answer(route: RouteType, body: &[u8]) -> Result<Value, String> {
    let answer = object(body, "anthropic")?;
    if route == RouteType::Completions {
        let completion = present(&answer, "completion")
            .ok_or("'completion' not in anthropic://llm/v1/chat response")?;
        return Ok(json!({
            "choices": [{
                "index": 0,
                "text": completion,
                "finish_reason": answer["stop_reason"],
            }],
            "model": answer["model"],
            "object": "text_completion",
        }));
    }
    let content = answer.get("content").and_then(Value::as_array);
    let content = content.ok_or("'content' not in anthropic://llm/v1/chat response")?;
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|part| text(part, "text"))
        .collect();
    let mut message = json!({ "role": "assistant", "content": texts.join("\n") });
    let calls = content.iter().filter(|part| part["type"] == "tool_use");
    let calls: Vec<Value> = calls.map(tool_call).collect();
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let used = match present(&answer, "usage") {
        Some(used) => usage(
            count(used, "/input_tokens"),
            count(used, "/output_tokens"),
            None,
        ),
        None => Value::from("no usage data returned from upstream"),
    };
    Ok(json!({
        "choices": [{ "index": 0, "message": message, "finish_reason": answer["stop_reason"] }],
        "usage": used,
        "model": answer["model"],
        "object": "chat.completion",
    }))
}

fn tool_call(part: &Value) -> Value {
    json!({
        "id": part["id"],
        "type": "function",
        "function": { "name": part["name"], "arguments": part["input"].to_string() },
    })
}

pub(super) fn event(model: &Model, event: &Event, remembered: &mut Remembered) -> Translated {
    let Some(data) = event_data(event) else {
        return Translated::default();
    };
    let chunk = |remembered: &Remembered, said: &str| {
        let chunk = json!({
            "choices": [{
                "delta": { "content": said },
                "index": 0,
                "finish_reason": null,
                "logprobs": null,
            }],
            "id": remembered.id,
            "model": model.name,
            "object": "chat.completion.chunk",
        });
        Translated::from(chunk)
    };
    match event.name.as_deref() {
        Some("message_start") => start(model, &data, remembered),
        Some("content_block_start") => chunk(remembered, ""),
        Some("content_block_delta") => {
            let said = data.pointer("/delta/text").and_then(Value::as_str);
            chunk(remembered, said.unwrap_or_default())
        }
        Some("message_delta") => Translated {
            data: None,
            tokens: present(&data, "usage").map(|used| Tokens {
                prompt: 0,
                completion: count(used, "/output_tokens").unwrap_or_default(),
            }),
        },
        Some("message_stop") => Translated {
            data: Some(Data::Done),
            tokens: None,
        },
        _ => Translated::default(),
    }
}

fn start(model: &Model, data: &Value, remembered: &mut Remembered) -> Translated {
    let Some(message) = present(data, "message") else {
        return Translated::default();
    };
    remembered.id = text(message, "id").map(str::to_owned);
    let chunk = json!({
        "choices": [{
            "delta": { "content": "", "role": message["role"] },
            "index": 0,
            "logprobs": null,
        }],
        "id": remembered.id,
        "model": model.name,
        "object": "chat.completion.chunk",
        "system_fingerprint": null,
    });
    Translated {
        data: Some(Data::Chunk(chunk)),
        tokens: Some(Tokens {
            prompt: count(message, "/usage/input_tokens").unwrap_or_default(),
            completion: count(message, "/usage/output_tokens").unwrap_or_default(),
        }),
    }
}
