//! Amazon Bedrock: the Converse API.

use serde_json::{Value, json};

use super::{Data, Members, Translated, carry, count, event_data, present, text, usage};
use crate::events::Event;
use crate::settings::Model;
use crate::usage::Tokens;

/// How the names of models begin that understand no system prompt.
const WITHOUT_SYSTEM: [&str; 5] = [
    "amazon.titan-",
    "cohere.command-text-",
    "cohere.command-light-text-",
    "mistral.mistral-7b-instruct-",
    "mistral.mixtral-8x7b-instruct-",
];

pub(super) fn knows_system_prompts(model: &Model) -> bool {
    let name = model.name();
    !WITHOUT_SYSTEM.iter().any(|part| name.contains(part))
}

pub(super) fn request(model: &Model, mut request: Members) -> Result<Members, String> {
    let Some(Value::Array(messages)) = request.remove("messages") else {
        return Err("request is missing .messages command".to_owned());
    };
    let mut asked = Members::new();
    let version = model.options.anthropic_version.as_deref();
    let version = version.unwrap_or("bedrock-2023-05-31");
    asked.insert("anthropic_version".to_owned(), version.into());
    let mut system = Vec::new();
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        match text(&message, "role").unwrap_or("user") {
            "system" => system.push(json!({ "text": message["content"] })),
            "tool" => said.push(tool_result(&message)?),
            role => {
                let role = if role == "assistant" { role } else { "user" };
                said.push(json!({ "role": role, "content": content(message.clone())? }));
            }
        }
    }
    if !system.is_empty() {
        if !knows_system_prompts(model) {
            let name = model.name();
            return Err(format!("system prompts are unsupported for model '{name}'"));
        }
        asked.insert("system".to_owned(), Value::Array(system));
    }
    asked.insert("messages".to_owned(), Value::Array(said));
    let mut inference = Members::new();
    for (name, other) in [
        ("max_tokens", "maxTokens"),
        ("stop", "stopSequences"),
        ("temperature", "temperature"),
        ("top_p", "topP"),
    ] {
        carry(&mut request, name, &mut inference, other);
    }
    asked.insert("inferenceConfig".to_owned(), Value::Object(inference));
    carry(
        &mut request,
        "guardrailConfig",
        &mut asked,
        "guardrailConfig",
    );
    if let Some(Value::Object(mut own)) = request.remove("bedrock") {
        for name in ["toolConfig", "additionalModelRequestFields"] {
            carry(&mut own, name, &mut asked, name);
        }
    }
    if let Some(Value::Array(tools)) = request.remove("tools")
        && !tools.is_empty()
    {
        let tools: Vec<Value> = tools.iter().filter_map(tool).collect();
        let config = asked.entry("toolConfig").or_insert_with(|| json!({}));
        config["tools"] = Value::Array(tools);
    }
    Ok(asked)
}

fn tool(tool: &Value) -> Option<Value> {
    let function = present(tool, "function")?;
    let mut spec = json!({ "inputSchema": { "json": function["parameters"] } });
    for name in ["name", "description"] {
        if let Some(value) = present(function, name) {
            spec[name] = value.clone();
        }
    }
    Some(json!({ "toolSpec": spec }))
}

fn tool_result(message: &Value) -> Result<Value, String> {
    let content = text(message, "content").unwrap_or_default();
    let content: Value = serde_json::from_str(content)
        .map_err(|_| "failed to decode function response arguments, not JSON format".to_owned())?;
    let content = match content {
        Value::Object(_) | Value::Array(_) => content,
        plain => json!({ "result": plain }),
    };
    let mut result = json!({
        "toolUseId": message["tool_call_id"],
        "content": [{ "json": content }],
    });
    if let Some(status) = present(message, "status") {
        result["status"] = status.clone();
    }
    Ok(json!({ "role": "user", "content": [{ "toolResult": result }] }))
}

fn content(mut message: Value) -> Result<Value, String> {
    if message["content"].is_array() || message["content"].is_object() {
        return Ok(message["content"].take());
    }
    if let Some(calls) = message.get("tool_calls").and_then(Value::as_array) {
        return calls.iter().map(tool_use).collect();
    }
    let said = text(&message, "content").unwrap_or_default();
    Ok(json!([{ "text": said }]))
}

fn tool_use(call: &Value) -> Result<Value, String> {
    let function = &call["function"];
    let arguments = text(function, "arguments").unwrap_or("{}");
    let input: Value = serde_json::from_str(arguments).map_err(|_| {
        "failed to decode function response arguments from assistant's message, not JSON format"
            .to_owned()
    })?;
    Ok(json!({
        "toolUse": { "toolUseId": call["id"], "name": function["name"], "input": input },
    }))
}

pub(super) fn answer(model: &Model, body: &[u8]) -> Result<Value, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| "failed to decode response from Bedrock".to_owned())?;
    let content = answer
        .pointer("/output/message/content")
        .and_then(Value::as_array);
    let content = content
        .filter(|content| !content.is_empty())
        .ok_or("no generation candidates received from Bedrock, or max_tokens too short")?;
    let mut message = json!({ "role": "assistant" });
    if let Some(said) = content.first().and_then(|part| present(part, "text")) {
        message["content"] = said.clone();
    }
    let calls = content.iter().filter_map(|part| present(part, "toolUse"));
    let calls: Vec<Value> = calls.map(tool_call).collect();
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let mut translated = json!({
        "choices": [{
            "index": 0,
            "message": message,
            "finish_reason": finish_reason(&answer),
        }],
        "object": "chat.completion",
        "model": model.name,
    });
    if let Some(used) = present(&answer, "usage") {
        translated["usage"] = usage(
            count(used, "/inputTokens"),
            count(used, "/outputTokens"),
            count(used, "/totalTokens"),
        );
    }
    if let Some(trace) = present(&answer, "trace") {
        translated["trace"] = trace.clone();
    }
    Ok(translated)
}

fn tool_call(used: &Value) -> Value {
    let mut function = json!({ "name": used["name"] });
    if used["input"]
        .as_object()
        .is_some_and(|input| !input.is_empty())
    {
        function["arguments"] = json!(used["input"].to_string());
    }
    json!({ "id": used["toolUseId"], "type": "function", "function": function })
}

fn finish_reason(from: &Value) -> &'static str {
    match text(from, "stopReason") {
        Some("max_tokens") => "length",
        Some("tool_use") => "tool_calls",
        Some("guardrail_intervened") => "guardrail_intervened",
        _ => "stop",
    }
}

pub(super) fn event(model: &Model, event: &Event) -> Translated {
    let Some(data) = event_data(event) else {
        return Translated::default();
    };
    let chunk = |delta: Value| {
        Translated::from(json!({
            "choices": [{ "delta": delta, "index": 0, "logprobs": null }],
            "model": model.name,
            "object": "chat.completion.chunk",
            "system_fingerprint": null,
        }))
    };
    let call = |mut call: Value| {
        call["index"] = data["contentBlockIndex"].clone();
        chunk(json!({ "tool_calls": [call] }))
    };
    match event.name.as_deref() {
        Some("messageStart") => chunk(json!({ "content": "", "role": data["role"] })),
        Some("contentBlockStart") => match data.pointer("/start/toolUse") {
            Some(tool) => call(json!({
                "id": tool["toolUseId"],
                "function": { "name": tool["name"], "arguments": "" },
            })),
            None => Translated::default(),
        },
        Some("contentBlockDelta") => match data.pointer("/delta/toolUse") {
            Some(tool) => call(json!({ "function": { "arguments": tool["input"] } })),
            None => {
                let said = data.pointer("/delta/text").and_then(Value::as_str);
                chunk(json!({ "content": said.unwrap_or_default() }))
            }
        },
        Some("messageStop") => Translated::from(json!({
            "choices": [{
                "delta": {},
                "index": 0,
                "finish_reason": finish_reason(&data),
                "logprobs": null,
            }],
            "model": model.name,
            "object": "chat.completion.chunk",
        })),
        Some("metadata") => Translated {
            data: Some(Data::Done),
            tokens: Some(Tokens {
                prompt: count(&data, "/usage/inputTokens").unwrap_or_default(),
                completion: count(&data, "/usage/outputTokens").unwrap_or_default(),
            }),
        },
        _ => Translated::default(),
    }
}
