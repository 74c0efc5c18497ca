//! What each provider makes of requests, answers and streams; everything else speaks OpenAI's language.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod huggingface;
mod llama2;
mod ollama;
mod openai;

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use crate::events::Event;
use crate::settings::{Dialect, Model, Provider, RouteType};
use crate::usage::Tokens;

/// The members of a JSON object.
pub type Members = Map<String, Value>;

/// How a model is spoken to.
#[derive(Clone, Copy)]
enum Language {
    Openai,
    Anthropic,
    Cohere,
    Gemini,
    Bedrock,
    Huggingface,
    Ollama,
    Llama2,
    /// The configuration does not say which.
    None,
}

fn language(model: &Model) -> Language {
    let hosted = |dialect| match dialect {
        Some(Dialect::Openai) => Language::Openai,
        Some(Dialect::Ollama) => Language::Ollama,
        Some(Dialect::Raw) => Language::Llama2,
        None => Language::None,
    };
    match model.provider {
        Provider::Openai | Provider::Azure => Language::Openai,
        Provider::Anthropic => Language::Anthropic,
        Provider::Cohere => Language::Cohere,
        Provider::Gemini => Language::Gemini,
        Provider::Bedrock => Language::Bedrock,
        Provider::Huggingface => Language::Huggingface,
        Provider::Llama2 => hosted(model.options.llama2_format),
        Provider::Mistral => hosted(model.options.mistral_format),
    }
}

/// A request in the language of the model's provider.
///
/// # Errors
/// With what to tell the client, if the provider has no such request.
pub fn request(model: &Model, route: RouteType, mut request: Members) -> Result<Members, String> {
    let options = &model.options;
    let settled = [
        ("temperature", &options.temperature),
        ("max_tokens", &options.max_tokens),
        ("top_p", &options.top_p),
        ("top_k", &options.top_k),
    ];
    for (name, value) in settled {
        if let Some(value) = value {
            request.insert(name.to_owned(), Value::Number(value.clone()));
        }
    }
    let what = || format!("{}://{}", model.provider.name(), route.name());
    let translated = match (language(model), route) {
        (_, RouteType::Preserve) => return Ok(request),
        (Language::Openai, _) => Ok(openai::request(model, request)),
        (Language::Cohere, _) if request.contains_key("tools") => {
            Ok(openai::request(model, request))
        }
        (Language::Cohere, _) => cohere::request(model, request),
        (Language::Anthropic, _) => anthropic::request(model, route, request),
        (Language::Huggingface, _) => Ok(huggingface::request(model, route, request)),
        (Language::Ollama, _) => Ok(ollama::request(model, request)),
        (Language::Llama2, _) => Ok(llama2::request(request)),
        (Language::Gemini, RouteType::Chat) => gemini::request(model, request),
        (Language::Bedrock, RouteType::Chat) => bedrock::request(model, request),
        (Language::Gemini | Language::Bedrock | Language::None, _) => {
            return Err(format!("no transformer for {}", what()));
        }
    };
    translated.map_err(|reason| format!("error transforming to {}: {reason}", what()))
}

/// An answer of the provider in OpenAI's language, as JSON.
///
/// # Errors
/// With what to tell the client, if it is none.
pub fn answer<'a>(
    model: &Model,
    route: RouteType,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, String> {
    let what = || format!("{}://{}", model.provider.name(), route.name());
    let language = language(model);
    let translated = match (language, route) {
        (_, RouteType::Preserve) => return Ok(Cow::Borrowed(body)),
        (Language::Openai, _) => {
            return match openai::check_answer(route, body) {
                Ok(()) => Ok(Cow::Borrowed(body)),
                Err(reason) => Err(format!(
                    "transformation failed from type {}: {reason}",
                    what()
                )),
            };
        }
        (Language::Anthropic, _) => anthropic::answer(route, body),
        (Language::Cohere, _) => cohere::answer(model, route, body),
        (Language::Huggingface, _) => huggingface::answer(model, route, body),
        (Language::Ollama, _) => ollama::answer(model, route, body),
        (Language::Llama2, _) => llama2::answer(route, body),
        (Language::Gemini, RouteType::Chat) => gemini::answer(model, body),
        (Language::Bedrock, RouteType::Chat) => bedrock::answer(model, body),
        (Language::Gemini | Language::Bedrock | Language::None, _) => {
            return Err(format!("no transformer available from format {}", what()));
        }
    };
    let written = translated.and_then(|answer| {
        serde_json::to_vec(&answer).map_err(|error| format!("it cannot be written: {error}"))
    });
    match written {
        Ok(answer) => Ok(Cow::Owned(answer)),
        Err(reason) => Err(format!(
            "transformation failed from type {}: {reason}",
            what()
        )),
    }
}

/// What an event of a stream becomes.
#[derive(Debug, Default, PartialEq)]
pub struct Translated {
    /// The data of the event that the client gets, if it gets one.
    pub data: Option<Data>,
    /// What the provider says that it has used.
    pub tokens: Option<Tokens>,
}

/// The data of an event.
#[derive(Debug, PartialEq)]
pub enum Data {
    /// As the provider wrote it, in OpenAI's language.
    Verbatim(String),
    Chunk(Value),
    /// The stream is over.
    Done,
}

impl From<Value> for Translated {
    fn from(chunk: Value) -> Self {
        Self {
            data: Some(Data::Chunk(chunk)),
            tokens: None,
        }
    }
}

/// What has to be remembered from one event of a stream to the next.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The id of the answer.
    id: Option<String>,
}

/// An event of the provider in OpenAI's language. What is not understood becomes nothing: the client has the head of the
/// answer already.
pub fn event(
    model: &Model,
    route: RouteType,
    event: Event,
    remembered: &mut Remembered,
) -> Translated {
    match language(model) {
        Language::Openai => openai::event(event),
        Language::Anthropic if route == RouteType::Chat => {
            anthropic::event(model, &event, remembered)
        }
        Language::Cohere => cohere::event(model, route, &event, remembered),
        Language::Gemini => gemini::event(&event),
        Language::Bedrock => bedrock::event(model, &event),
        Language::Huggingface => huggingface::event(model, route, &event),
        Language::Ollama => ollama::event(route, &event),
        Language::Anthropic | Language::Llama2 | Language::None => Translated::default(),
    }
}

/// Whether a stream of the model's can be translated.
pub fn can_stream(model: &Model, route: RouteType) -> bool {
    match language(model) {
        _ if route == RouteType::Preserve => true,
        Language::Llama2 | Language::None => false,
        Language::Anthropic | Language::Gemini | Language::Bedrock => route == RouteType::Chat,
        _ => true,
    }
}

/// Whether the provider says in streams how many tokens were used.
pub fn counts_streamed_tokens(provider: Provider) -> bool {
    use Provider::{Anthropic, Bedrock, Cohere, Gemini, Llama2};
    matches!(provider, Anthropic | Bedrock | Cohere | Gemini | Llama2)
}

fn object(body: &[u8], whose: &str) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|_| format!("failed to decode {whose} response"))
}

fn event_data(event: &Event) -> Option<Value> {
    serde_json::from_str(&event.data).ok()
}

/// A member that is there and not null.
fn present<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|member| !member.is_null())
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The text at a place; empty if there is none.
fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn count(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

/// The member `usage` of an answer, with what is known.
fn usage(prompt: Option<u64>, completion: Option<u64>, total: Option<u64>) -> Value {
    let total = total.or_else(|| Some(prompt?.saturating_add(completion?)));
    let known = [
        ("prompt_tokens", prompt),
        ("completion_tokens", completion),
        ("total_tokens", total),
    ];
    let known = known
        .into_iter()
        .filter_map(|(name, count)| Some((name.to_owned(), Value::Number(Number::from(count?)))));
    Value::Object(known.collect())
}

/// Moves a member to another object under another name.
fn carry(from: &mut Members, name: &str, to: &mut Members, other: &str) {
    if let Some(value) = from.remove(name).filter(|value| !value.is_null()) {
        to.insert(other.to_owned(), value);
    }
}

/// The model that a request is for.
fn set_model(model: &Model, from: &mut Members, to: &mut Members) {
    let said = from.remove("model");
    let name = model.name.as_ref().map(|name| Value::String(name.clone()));
    if let Some(name) = name.or(said) {
        to.insert("model".to_owned(), name);
    }
}

/// Whether the model understands a system prompt.
pub fn knows_system_prompts(model: &Model) -> bool {
    model.provider != Provider::Bedrock || bedrock::knows_system_prompts(model)
}

/// Whether a request asks for a stream.
pub fn is_streamed(request: &Members) -> bool {
    let asked = request.get("stream");
    asked.is_some_and(|asked| !asked.is_null() && *asked != Value::Bool(false))
}

#[cfg(test)]
mod tests;
