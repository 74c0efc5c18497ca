//! The languages of Bedrock and Gemini, for clients that speak them themselves: their requests and answers pass as they
//! are, and plugins look at what is in them.

use percent_encoding::percent_decode;
use plugin_api::Exchange;
use serde_json::{Value, json};

use crate::provider::Members;
use crate::usage::Tokens;

/// Such a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    /// The Converse API.
    Bedrock,
    Gemini,
}

/// What the path of a request asks for.
#[derive(Debug, Default, PartialEq)]
struct Operation {
    model: Option<String>,
    streams: bool,
}

impl Native {
    /// What of a request all languages have: messages, model, and whether a stream is wanted.
    pub fn request(self, exchange: &Exchange<'_>, body: &Members) -> Members {
        let mut request = Members::new();
        if let Some(messages) = self.messages(body) {
            request.insert("messages".to_owned(), Value::Array(messages));
        }
        let Operation { model, streams } = self.operation(exchange);
        if let Some(model) = model {
            request.insert("model".to_owned(), Value::String(model));
        }
        request.insert("stream".to_owned(), Value::Bool(streams));
        request
    }

    /// Model and verb, which are parts of the path that the route's expression has named, or else stand at its end.
    fn operation(self, exchange: &Exchange<'_>) -> Operation {
        let captures = exchange.matched.captures;
        let captured = |name| captures.and_then(|captures| captures.name(name));
        let path = percent_decode(exchange.head.path()).decode_utf8_lossy();
        let (model, verb) = match (captured("model"), captured("operation")) {
            (Some(model), Some(verb)) => (Some(model), Some(verb)),
            (model, verb) => match self.split(&path) {
                Some((model, verb)) => (Some(model), Some(verb)),
                None => (model, verb),
            },
        };
        let streaming = match self {
            Self::Bedrock => "converse-stream",
            Self::Gemini => "streamGenerateContent",
        };
        let decoded = |model: &str| {
            let decoded = percent_decode(model.as_bytes()).decode_utf8_lossy();
            decoded.into_owned()
        };
        Operation {
            model: model.map(decoded),
            streams: verb == Some(streaming),
        }
    }

    fn split(self, path: &str) -> Option<(&str, &str)> {
        let (model, verb) = match self {
            Self::Bedrock => path.split_once("/model/")?.1.rsplit_once('/')?,
            Self::Gemini => path.rsplit_once("/models/")?.1.rsplit_once(':')?,
        };
        let are_there = !model.is_empty() && !verb.is_empty() && !verb.contains('/');
        are_there.then_some((model, verb))
    }

    /// The messages, as OpenAI's language has them; content that is more than text is null. `None` if there are none.
    pub fn messages(self, body: &Members) -> Option<Vec<Value>> {
        let said = match self {
            Self::Bedrock => list(body.get("messages")?),
            Self::Gemini => list(body.get("contents")?),
        };
        if said.is_empty() {
            return None;
        }
        let (_, system) = self.system(body).unzip();
        let system = system.filter(|parts| !list(parts).is_empty());
        let system = system.map(|parts| json!({ "role": "system", "content": text(parts) }));
        let said = said.iter().map(|message| self.message(message));
        Some(system.into_iter().chain(said).collect())
    }

    fn message(self, message: &Value) -> Value {
        let parts = match self {
            Self::Bedrock => &message["content"],
            Self::Gemini => &message["parts"],
        };
        let role = match message.get("role").and_then(Value::as_str) {
            // Whoever says what a tool has found says nothing else: otherwise it is the user who speaks.
            _ if !list(parts).is_empty() && list(parts).iter().all(is_result) => "tool",
            Some("model") => "assistant",
            Some(role) => role,
            None => "user",
        };
        json!({ "role": role, "content": text(parts) })
    }

    /// The name of the member with the system prompt, and its parts.
    fn system(self, body: &Members) -> Option<(&'static str, &Value)> {
        let names: &[&'static str] = match self {
            Self::Bedrock => &["system"],
            Self::Gemini => &["systemInstruction", "system_instruction"],
        };
        let (name, system) = names
            .iter()
            .find_map(|name| Some((*name, body.get(*name)?)))?;
        match self {
            Self::Bedrock => Some((name, system)),
            Self::Gemini => Some((name, &system["parts"])),
        }
    }

    /// Puts messages of OpenAI's language around those of a request; those of the role `system` around its system prompt.
    /// `None` if it has no messages.
    pub fn decorate(self, body: &mut Members, prepend: &[Value], append: &[Value]) -> Option<()> {
        self.messages(body)?;
        let of_system = |message: &&Value| message["role"] == "system";
        let (before, first): (Vec<_>, Vec<_>) = prepend.iter().partition(of_system);
        let (after, last): (Vec<_>, Vec<_>) = append.iter().partition(of_system);
        if !before.is_empty() || !after.is_empty() {
            let (name, given) = match self.system(body) {
                Some((name, parts)) => (Some(name), list(parts).to_vec()),
                None => (None, Vec::new()),
            };
            let part = |message: &&Value| json!({ "text": message["content"] });
            let parts: Vec<Value> = before
                .iter()
                .map(part)
                .chain(given)
                .chain(after.iter().map(part))
                .collect();
            let (usual, system) = match self {
                Self::Bedrock => ("system", Value::Array(parts)),
                Self::Gemini => ("systemInstruction", json!({ "parts": parts })),
            };
            body.insert(name.unwrap_or(usual).to_owned(), system);
        }
        let messages = match self {
            Self::Bedrock => body.get_mut("messages")?,
            Self::Gemini => body.get_mut("contents")?,
        };
        let given = list(messages).to_vec();
        let ours = |message: &Value| self.own_message(message);
        let first = first.into_iter().map(ours);
        let last = last.into_iter().map(ours);
        *messages = first.chain(given).chain(last).collect();
        Some(())
    }

    fn own_message(self, message: &Value) -> Value {
        let parts = json!([{ "text": message["content"] }]);
        match (self, message["role"] == "assistant") {
            (Self::Bedrock, _) => json!({ "role": message["role"], "content": parts }),
            (Self::Gemini, true) => json!({ "role": "model", "parts": parts }),
            (Self::Gemini, false) => json!({ "role": "user", "parts": parts }),
        }
    }

    /// What an answer says that was used.
    pub fn tokens(self, answer: &Value) -> Option<Tokens> {
        let (usage, prompt, completion) = match self {
            Self::Bedrock => ("usage", "inputTokens", "outputTokens"),
            Self::Gemini => ("usageMetadata", "promptTokenCount", "candidatesTokenCount"),
        };
        let usage = answer.get(usage)?.as_object()?;
        let count = |name| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        Some(Tokens {
            prompt: count(prompt),
            completion: count(completion),
        })
    }

    /// The name of the model that answered, if answers say it.
    pub fn answered_by(self, answer: &Value) -> Option<&str> {
        match self {
            Self::Bedrock => None,
            Self::Gemini => answer.get("modelVersion")?.as_str(),
        }
    }
}

/// What is a list, or stands there instead of a list with one element.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Members of parts in which a tool says what it has found.
const RESULTS: [&str; 3] = ["toolResult", "functionResponse", "function_response"];

/// Others whose texts are all that is in them.
const WORDS: [&str; 5] = [
    "toolUse",
    "functionCall",
    "function_call",
    "guardContent",
    "reasoningContent",
];

/// Members that say nothing to the model.
const SILENT: [&str; 3] = ["cachePoint", "thought", "thoughtSignature"];

fn is_result(part: &Value) -> bool {
    let Some(members) = part.as_object() else {
        return false;
    };
    members.len() == 1 && RESULTS.iter().any(|name| members.contains_key(*name))
}

/// All that is said in some parts; null if one of them is more than text.
fn text(parts: &Value) -> Value {
    let mut said = Vec::new();
    let mut are_texts = true;
    for part in list(parts) {
        let Some(members) = part.as_object() else {
            return Value::Null;
        };
        for (name, value) in members {
            let name = &**name;
            match value {
                Value::String(text) if name == "text" => said.push(&**text),
                value if RESULTS.contains(&name) || WORDS.contains(&name) => {
                    strings(value, &mut said);
                }
                _ => are_texts &= SILENT.contains(&name),
            }
        }
    }
    match are_texts && !said.is_empty() {
        true => Value::String(said.join(" ")),
        false => Value::Null,
    }
}

fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(elements) => elements.iter().for_each(|one| strings(one, found)),
        Value::Object(members) => members.values().for_each(|one| strings(one, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
