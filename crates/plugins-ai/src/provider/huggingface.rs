//! Hugging Face's inference API.

use serde_json::{Value, json};

use super::{Members, Translated, carry, event_data, present, text, text_at};
use crate::events::Event;
use crate::settings::{Model, RouteType};

pub(super) fn request(model: &Model, route: RouteType, mut request: Members) -> Members {
    let mut parameters = match request.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        _ => Members::new(),
    };
    // Compat: the API has the name with this spelling.
    let most = match request.contains_key("messages") {
        true => "max_lenght",
        false => "max_new_tokens",
    };
    for (name, other) in [
        ("top_k", "top_k"),
        ("top_p", "top_p"),
        ("temperature", "temperature"),
        ("max_tokens", most),
    ] {
        let own = parameters.get(name).filter(|own| !own.is_null()).cloned();
        carry(&mut request, name, &mut parameters, other);
        if let Some(own) = own {
            parameters.insert(name.to_owned(), own);
        }
    }
    if route == RouteType::Completions
        && let Some(prompt) = request.remove("prompt")
    {
        request.insert("inputs".to_owned(), prompt);
    }
    let options = &model.options.huggingface;
    let options = json!({
        "use_cache": options.use_cache,
        "wait_for_model": options.wait_for_model,
    });
    request.insert("options".to_owned(), options);
    request.insert("parameters".to_owned(), Value::Object(parameters));
    if let Some(name) = &model.name {
        request.insert("model".to_owned(), Value::String(name.clone()));
    }
    request
}

pub(super) fn answer(model: &Model, route: RouteType, body: &[u8]) -> Result<Value, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "Failed to decode response".to_owned())?;
    let error = present(&answer, "error").or_else(|| present(&answer, "message"));
    if let Some(error) = error {
        let said = error
            .as_str()
            .map_or_else(|| error.to_string(), str::to_owned);
        return Err(format!("API error: {said}"));
    }
    let choice = |at: usize, said: &Value| {
        let said = said.as_str().unwrap_or_default();
        let (mut choice, reason) = (json!({ "index": at }), json!("complete"));
        choice["message"] = json!({ "content": said });
        choice["finish_reason"] = reason;
        choice
    };
    let choices: Vec<Value> = if let Some(said) = answer.pointer("/0/generated_text") {
        vec![choice(0, said)]
    } else if let Some(choices) = answer.get("choices").and_then(Value::as_array) {
        let choices = choices.iter().enumerate();
        choices
            .map(|(at, one)| choice(at, &one["message"]["content"]))
            .collect()
    } else {
        return Err("Invalid response format".to_owned());
    };
    Ok(json!({
        "model": model.name,
        "object": text(&answer, "object").unwrap_or(route.name()),
        "choices": choices,
        "usage": present(&answer, "usage").unwrap_or(&json!({})),
    }))
}

pub(super) fn event(model: &Model, route: RouteType, event: &Event) -> Translated {
    let Some(data) = event_data(event) else {
        return Translated::default();
    };
    let (choice, object) = match route {
        RouteType::Completions => (
            json!({ "text": text_at(&data, "/token/text"), "index": 0 }),
            "text_completion",
        ),
        _ => (
            json!({
                "delta": { "content": text_at(&data, "/choices/0/delta/content"), "role": "assistant" },
                "index": 0,
            }),
            "chat.completion.chunk",
        ),
    };
    let model = text(&data, "model").or(model.name.as_deref());
    Translated::from(json!({ "choices": [choice], "model": model, "object": object }))
}
