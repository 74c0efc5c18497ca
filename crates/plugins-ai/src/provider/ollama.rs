//! Ollama's own API.

use serde_json::{Value, json};

use super::{Data, Members, Translated, carry, count, event_data, is_streamed, object, present};
use super::{set_model, text, text_at, usage};
use crate::events::Event;
use crate::settings::{Model, RouteType};
use crate::usage::Tokens;

pub(super) fn request(model: &Model, mut request: Members) -> Members {
    let mut asked = Members::new();
    let streamed = is_streamed(&request);
    asked.insert("stream".to_owned(), Value::Bool(streamed));
    set_model(model, &mut request, &mut asked);
    for name in ["messages", "prompt", "tools", "tool_choice"] {
        carry(&mut request, name, &mut asked, name);
    }
    let mut options = Members::new();
    for (name, other) in [
        ("max_tokens", "num_predict"),
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
    ] {
        carry(&mut request, name, &mut options, other);
    }
    asked.insert("options".to_owned(), Value::Object(options));
    asked
}

pub(super) fn answer(model: &Model, route: RouteType, body: &[u8]) -> Result<Value, String> {
    let answer = object(body, "ollama")?;
    let evaluated = count(&answer, "/eval_count");
    let most = model
        .options
        .max_tokens
        .as_ref()
        .and_then(|most| most.as_u64());
    let reason = match evaluated.is_some() && evaluated == most {
        true => "length",
        false => "stop",
    };
    let (choice, name) = match route {
        RouteType::Completions => (
            json!({ "index": 0, "text": answer["response"] }),
            "text_completion",
        ),
        _ => (
            json!({
                "index": 0,
                "message": answer["message"],
                "finish_reason": text(&answer, "finish_reason").unwrap_or(reason),
            }),
            "chat.completion",
        ),
    };
    let prompt = count(&answer, "/prompt_eval_count").unwrap_or_default();
    let mut translated = json!({
        "choices": [choice],
        "object": name,
        "usage": usage(Some(prompt), Some(evaluated.unwrap_or_default()), None),
    });
    for (name, other) in [("model", "model"), ("created", "created_at")] {
        if let Some(value) = present(&answer, other) {
            translated[name] = value.clone();
        }
    }
    Ok(translated)
}

pub(super) fn event(route: RouteType, event: &Event) -> Translated {
    let Some(data) = event_data(event) else {
        return Translated::default();
    };
    if data["done"] == true {
        return Translated {
            data: Some(Data::Done),
            tokens: Some(Tokens {
                prompt: count(&data, "/prompt_eval_count").unwrap_or_default(),
                completion: count(&data, "/eval_count").unwrap_or_default(),
            }),
        };
    }
    let (choice, object) = match route {
        RouteType::Completions => (
            json!({ "text": text_at(&data, "/response"), "index": 0 }),
            "text_completion",
        ),
        _ => (
            json!({ "delta": { "content": text_at(&data, "/message/content") }, "index": 0 }),
            "chat.completion.chunk",
        ),
    };
    Translated::from(json!({ "choices": [choice], "model": data["model"], "object": object }))
}
