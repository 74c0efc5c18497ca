//! Llama 2 as it comes: one text with marks in it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Members, carry, is_streamed, object, present, text};
use crate::settings::RouteType;

pub(super) fn request(mut request: Members) -> Members {
    let mut parameters = Members::new();
    let streamed = is_streamed(&request);
    parameters.insert("stream".to_owned(), Value::Bool(streamed));
    for (name, other) in [
        ("max_tokens", "max_new_tokens"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("temperature", "temperature"),
    ] {
        carry(&mut request, name, &mut parameters, other);
    }
    let inputs = match request.get("messages").and_then(Value::as_array) {
        Some(messages) => marked(messages),
        None => {
            let prompt = request.get("prompt").and_then(Value::as_str);
            let prompt = prompt.unwrap_or_default();
            format!("<s> [INST] <<SYS>> You are a helpful assistant. <<SYS>> {prompt} [/INST]")
        }
    };
    let mut asked = Members::new();
    asked.insert("inputs".to_owned(), Value::String(inputs));
    asked.insert("parameters".to_owned(), Value::Object(parameters));
    asked
}

/// A conversation with the marks between what was said.
fn marked(messages: &[Value]) -> String {
    let mut marked = String::new();
    for (at, message) in messages.iter().enumerate() {
        let said = text(message, "content").unwrap_or_default();
        let written = match (at, text(message, "role")) {
            (0, _) => write!(marked, "<s>[INST] <<SYS>> {said} <</SYS>>"),
            (1, _) => write!(marked, " {said} [/INST]"),
            (_, Some("system" | "assistant")) => write!(marked, " {said} </s>"),
            (_, Some("user")) => write!(marked, " <s>[INST] {said} [/INST]"),
            _ => Ok(()),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    marked
}

pub(super) fn answer(route: RouteType, body: &[u8]) -> Result<Value, String> {
    let answer = object(body, "llama2")?;
    let data = answer.get("data").and_then(Value::as_array);
    let one = match data.map(Vec::as_slice) {
        Some([one]) => one,
        Some([]) => return Err("response data is empty from llama2 endpoint".to_owned()),
        _ => return Err("cannot parse response from llama2 endpoint".to_owned()),
    };
    let said = text(one, "generated_text").ok_or("response data is empty from llama2 endpoint")?;
    let said = said.rsplit("[/INST]").next().unwrap_or_default().trim();
    let mut translated = match route {
        RouteType::Completions => json!({
            "choices": [{ "index": 0, "text": said }],
            "object": "text_completion",
        }),
        _ => json!({
            "choices": [{ "index": 0, "message": { "content": said, "role": "assistant" } }],
            "object": "chat.completion",
        }),
    };
    if let Some(used) = present(&answer, "usage") {
        translated["usage"] = used.clone();
    }
    Ok(translated)
}
