//! Cohere: chats, and generations for completions.

use serde_json::{Value, json};

use super::{
    Data, Members, Remembered, Translated, carry, count, event_data, is_streamed, object, present,
    set_model, text, usage,
};
use crate::events::Event;
use crate::settings::{Model, RouteType};
use crate::usage::Tokens;

pub(super) fn request(model: &Model, mut request: Members) -> Result<Members, String> {
    let streamed = is_streamed(&request);
    let mut asked = Members::new();
    carry(&mut request, "top_p", &mut asked, "p");
    carry(&mut request, "top_k", &mut asked, "k");
    set_model(model, &mut request, &mut asked);
    if let Some(Value::Array(mut messages)) = request.remove("messages") {
        let last = messages.pop().ok_or("there are no messages")?;
        asked.insert("message".to_owned(), last["content"].clone());
        if !messages.is_empty() {
            let history = messages.iter().map(said_before);
            asked.insert("chat_history".to_owned(), history.collect());
        }
    }
    request.append(&mut asked);
    request.insert("stream".to_owned(), Value::Bool(streamed));
    Ok(request)
}

fn said_before(message: &Value) -> Value {
    let role = match text(message, "role") {
        Some("assistant" | "CHATBOT") => "CHATBOT",
        _ => "USER",
    };
    json!({ "role": role, "message": message["content"] })
}

pub(super) fn answer(model: &Model, route: RouteType, body: &[u8]) -> Result<Value, String> {
    let answer = object(body, "cohere")?;
    let billed = |whose: &str| {
        let of = |name: &str| count(&answer, &format!("{whose}/billed_units/{name}"));
        usage(of("input_tokens"), of("output_tokens"), None)
    };
    let chat = |message: Value, reason: &Value, id: &Value, used: Value| {
        json!({
            "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
            "object": "chat.completion",
            "model": model.name,
            "id": id,
            "usage": used,
        })
    };
    let generations = answer.get("generations").and_then(Value::as_array);
    if let (Some(_), Some(generations)) = (present(&answer, "prompt"), generations) {
        let choices = generations.iter().enumerate().map(|(at, generation)| {
            json!({ "index": at, "text": generation["text"], "finish_reason": "stop" })
        });
        return Ok(json!({
            "choices": choices.collect::<Value>(),
            "object": "text_completion",
            "model": model.name,
            "id": answer["id"],
            "usage": billed("/meta"),
        }));
    }
    if let Some(said) = present(&answer, "text") {
        let message = json!({ "role": "assistant", "content": said });
        let used = match present(&answer, "token_count") {
            Some(counted) if route == RouteType::Completions => usage(
                count(counted, "/prompt_tokens"),
                count(counted, "/response_tokens"),
                count(counted, "/total_tokens"),
            ),
            _ => billed("/meta"),
        };
        let id = &answer["generation_id"];
        return Ok(chat(message, &json!("stop"), id, used));
    }
    if let Some(said) = present(&answer, "message") {
        let content = present(said, "tool_plan").unwrap_or(&said["content"]);
        let mut message = json!({ "role": "assistant", "content": content });
        if let Some(calls) = present(said, "tool_calls") {
            message["tool_calls"] = calls.clone();
        }
        let used = billed("/usage");
        return Ok(chat(message, &answer["finish_reason"], &answer["id"], used));
    }
    Err("'text' or 'generations' missing from cohere response body".to_owned())
}

pub(super) fn event(
    model: &Model,
    route: RouteType,
    event: &Event,
    remembered: &mut Remembered,
) -> Translated {
    let Some(data) = event_data(event) else {
        return Translated::default();
    };
    match text(&data, "event_type") {
        Some("stream-start") => {
            remembered.id = text(&data, "generation_id").map(str::to_owned);
            Translated::from(json!({
                "choices": [{ "delta": { "content": "", "role": "assistant" }, "index": 0 }],
                "id": remembered.id,
                "model": model.name,
                "object": "chat.completion.chunk",
            }))
        }
        Some("text-generation") => {
            let said = text(&data, "text").unwrap_or_default();
            let (mut choice, object) = match route {
                RouteType::Completions => (json!({ "text": said }), "text_completion"),
                _ => (
                    json!({ "delta": { "content": said } }),
                    "chat.completion.chunk",
                ),
            };
            choice["index"] = json!(0);
            choice["finish_reason"] = Value::Null;
            choice["logprobs"] = Value::Null;
            Translated::from(json!({
                "choices": [choice],
                "id": remembered.id,
                "model": model.name,
                "object": object,
            }))
        }
        Some("stream-end") => {
            let counted = |billed: &str, counted: &str| {
                let billed = count(&data, &format!("/response/meta/billed_units/{billed}"));
                let counted = || count(&data, &format!("/response/token_count/{counted}"));
                billed.or_else(counted).unwrap_or_default()
            };
            Translated {
                data: Some(Data::Done),
                tokens: Some(Tokens {
                    prompt: counted("input_tokens", "prompt_tokens"),
                    completion: counted("output_tokens", "response_tokens"),
                }),
            }
        }
        _ => Translated::default(),
    }
}
