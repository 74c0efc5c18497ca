//! Gemini, at Google's AI Studio or on Vertex.

use serde_json::{Value, json};

use super::{Data, Members, Translated, carry, count, object, present, text, usage};
use crate::events::{DONE, Event};
use crate::settings::Model;
use crate::usage::Tokens;

pub(super) fn request(model: &Model, mut request: Members) -> Result<Members, String> {
    let mut asked = Members::new();
    let Some(Value::Array(messages)) = request.remove("messages") else {
        return Err("request is missing .messages command".to_owned());
    };
    let mut system = String::new();
    let mut contents = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let role = text(message, "role").unwrap_or("user");
        let calls = message.get("tool_calls").and_then(Value::as_array);
        match (role, calls) {
            ("system", _) => system.push_str(text(message, "content").unwrap_or_default()),
            ("tool", _) => contents.push(tool_answer(&messages, message)),
            ("assistant", Some(calls)) if !calls.is_empty() => {
                let parts = calls.iter().map(function_call);
                contents.push(json!({ "role": "model", "parts": parts.collect::<Value>() }));
            }
            _ => {
                let role = if role == "assistant" { "model" } else { "user" };
                let parts = parts(at + 1, &message["content"])?;
                contents.push(json!({ "role": role, "parts": parts }));
            }
        }
    }
    if !system.is_empty() {
        if model.name().starts_with("gemini-1.0") {
            return Err("system prompts aren't supported on gemini-1.0 models".to_owned());
        }
        let instruction = json!({ "parts": [{ "text": system }] });
        asked.insert("systemInstruction".to_owned(), instruction);
    }
    asked.insert("contents".to_owned(), Value::Array(contents));
    let mut generation = Members::new();
    for (name, other) in [
        ("max_tokens", "maxOutputTokens"),
        ("stop", "stopSequences"),
        ("temperature", "temperature"),
        ("top_k", "topK"),
        ("top_p", "topP"),
    ] {
        carry(&mut request, name, &mut generation, other);
    }
    asked.insert("generationConfig".to_owned(), Value::Object(generation));
    if let Some(Value::Array(tools)) = request.remove("tools") {
        let functions: Vec<Value> = tools
            .into_iter()
            .filter_map(|mut tool| Some(tool.get_mut("function")?.take()))
            .collect();
        let tools = json!([{ "function_declarations": functions }]);
        asked.insert("tools".to_owned(), tools);
    }
    carry(&mut request, "tool_config", &mut asked, "tool_config");
    Ok(asked)
}

/// What a tool has answered, under the name of the function that was called.
fn tool_answer(messages: &[Value], answer: &Value) -> Value {
    let id = &answer["tool_call_id"];
    let calls = messages
        .iter()
        .filter_map(|message| message["tool_calls"].as_array());
    let called = calls
        .flatten()
        .find(|call| !id.is_null() && call["id"] == *id);
    let name = called.map_or(&answer["name"], |call| &call["function"]["name"]);
    json!({
        "role": "function",
        "parts": [{
            "function_response": {
                "name": name,
                "response": { "content": [answer["content"]] },
            },
        }],
    })
}

fn function_call(call: &Value) -> Value {
    let function = &call["function"];
    let arguments = text(function, "arguments").unwrap_or("{}");
    let arguments: Value = serde_json::from_str(arguments).unwrap_or(json!({}));
    json!({ "function_call": { "name": function["name"], "args": arguments } })
}

/// The content of a message, whose number counts from one.
fn parts(number: usize, content: &Value) -> Result<Value, String> {
    match content {
        Value::String(said) => Ok(json!([{ "text": said }])),
        Value::Array(given) if !given.is_empty() => given.iter().map(part).collect(),
        Value::Array(_) | Value::Object(_) => Err(format!(
            "message at position {number} does not match expected array format"
        )),
        _ => Ok(json!([])),
    }
}

fn part(part: &Value) -> Result<Value, String> {
    match text(part, "type").unwrap_or_default() {
        "text" => match text(part, "text") {
            Some(said) => Ok(json!({ "text": said })),
            None => Err("message part type is 'text' but is missing .text block".to_owned()),
        },
        "image_url" => {
            let url = part.pointer("/image_url/url").and_then(Value::as_str);
            let url =
                url.ok_or("message part type is 'image_url' but is missing .image_url.url block")?;
            image(url)
        }
        kind => Err(format!(
            "cannot transform part of type '{kind}' to Gemini format"
        )),
    }
}

/// An image in the URL itself (`data:image/png;base64,…`), or where it can be fetched.
fn image(url: &str) -> Result<Value, String> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(json!({ "fileData": { "fileUri": url, "mimeType": "image/generic" } }));
    };
    let inline = data.split_once(';').and_then(|(kind, encoded)| {
        let (_, data) = encoded.split_once(',')?;
        Some(json!({ "inlineData": { "data": data, "mimeType": kind } }))
    });
    inline.ok_or_else(|| {
        "could not decode OpenAI image-part, unable to determine the PROTOCOL from the image url"
            .to_owned()
    })
}

pub(super) fn answer(model: &Model, body: &[u8]) -> Result<Value, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| "failed to decode response from Gemini".to_owned())?;
    let candidate = answer
        .pointer("/candidates/0")
        .ok_or("no generation candidates received from Gemini, or max_tokens too short")?;
    let mut translated = json!({ "choices": [] });
    let reason = text(candidate, "finishReason").map(str::to_lowercase);
    if let Some(said) = candidate.pointer("/content/parts/0/text") {
        translated["choices"] = json!([{
            "index": 0,
            "message": { "role": "assistant", "content": said },
            "finish_reason": reason,
        }]);
        translated["object"] = json!("chat.completion");
        translated["model"] = json!(model.name);
    } else if let Some(calls) = tool_calls(candidate) {
        translated["choices"] = json!([{
            "index": 0,
            "message": { "role": "assistant", "tool_calls": calls },
        }]);
    }
    if let Some(used) = present(&answer, "usageMetadata") {
        translated["usage"] = usage(
            count(used, "/promptTokenCount"),
            count(used, "/candidatesTokenCount"),
            count(used, "/totalTokenCount"),
        );
    }
    Ok(translated)
}

/// The tools that a candidate calls, if it begins with such a call.
fn tool_calls(candidate: &Value) -> Option<Vec<Value>> {
    let parts = candidate.pointer("/content/parts")?.as_array()?;
    present(parts.first()?, "functionCall")?;
    let calls = parts
        .iter()
        .filter_map(|part| present(part, "functionCall"));
    let call = |call: &Value| {
        let arguments = call["args"].to_string();
        let function = json!({ "name": call["name"], "arguments": arguments });
        json!({ "type": "function", "function": function })
    };
    Some(calls.map(call).collect())
}

pub(super) fn event(event: &Event) -> Translated {
    if event.data == DONE {
        return Translated {
            data: Some(Data::Done),
            tokens: None,
        };
    }
    let Ok(data) = object(event.data.as_bytes(), "gemini") else {
        return Translated::default();
    };
    let candidate = &data["candidates"][0];
    let delta = if let Some(said) = candidate.pointer("/content/parts/0/text") {
        json!({ "content": said, "role": "assistant" })
    } else if let Some(calls) = tool_calls(candidate) {
        json!({ "tool_calls": calls })
    } else {
        return Translated::default();
    };
    let mut choice = json!({ "delta": delta, "index": 0 });
    if let Some(reason) = present(candidate, "finishReason") {
        choice["finish_reason"] = reason.clone();
    }
    let counted = |name: &str| count(&data, &format!("/usageMetadata/{name}"));
    Translated {
        data: Some(Data::Chunk(json!({ "choices": [choice] }))),
        tokens: Some(Tokens {
            prompt: counted("promptTokenCount").unwrap_or_default(),
            completion: counted("candidatesTokenCount").unwrap_or_default(),
        }),
    }
}
