//! Requests to language models, in the form of OpenAI's API.
//!
//! The plugins of a chain hand a request on through the body that the upstream will get: each reads what the one before
//! has made of it.

use plugin_api::{Body, Exchange, Reply};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::native::Native;

/// The longest body that is held for a configuration that allows more than the node keeps in memory.
pub const MOST_HELD: u64 = 64 << 20;

/// The format in which clients speak to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Openai,
    Bedrock,
    Gemini,
}

impl Format {
    /// The language of a provider, if clients speak one.
    pub fn native(self) -> Option<Native> {
        match self {
            Self::Openai => None,
            Self::Bedrock => Some(Native::Bedrock),
            Self::Gemini => Some(Native::Gemini),
        }
    }
}

/// The members of the JSON object in the request's body, whatever its content type says; `None` if there is none, or a
/// longer one than `most` bytes.
pub fn members(exchange: &Exchange<'_>, most: u64) -> Option<Map<String, Value>> {
    let body = exchange.body();
    if body.len() as u64 > most {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// The same for a request that says that its body is JSON, or does not say what it is; no members otherwise.
pub fn request(exchange: &Exchange<'_>, most: u64) -> Map<String, Value> {
    let says_json = exchange
        .head
        .headers
        .get("content-type")
        .is_none_or(is_json);
    says_json
        .then(|| members(exchange, most))
        .flatten()
        .unwrap_or_default()
}

/// Whether a content type is JSON's.
pub fn is_json(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';');
    let kind = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

/// A refusal in the form of OpenAI's API.
pub fn refusal(message: impl Into<String>) -> Reply {
    let message: String = message.into();
    Reply::new(400).with_body(Body::Json(json!({ "error": { "message": message } })))
}
