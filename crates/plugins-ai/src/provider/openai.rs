//! OpenAI, and those who speak its language.

use serde_json::Value;

use super::{Data, Members, Translated, is_streamed};
use crate::events::{DONE, Event};
use crate::settings::{Model, RouteType};
use crate::usage::Tokens;

pub(super) fn request(model: &Model, mut request: Members) -> Members {
    if let Some(name) = &model.name {
        request.insert("model".to_owned(), Value::String(name.clone()));
    }
    let streamed = is_streamed(&request);
    request.insert("stream".to_owned(), Value::Bool(streamed));
    request.remove("top_k");
    request
}

pub(super) fn check_answer(route: RouteType, body: &[u8]) -> Result<(), String> {
    let name = route.name();
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| format!("failed to decode {name} response"))?;
    match answer.get("choices") {
        Some(_) => Ok(()),
        None => Err(format!("'choices' not in {name} response")),
    }
}

/// The event as it came. A client that asked for it gets the tokens in the last one.
pub(super) fn event(event: Event) -> Translated {
    if event.data.trim() == DONE {
        return Translated {
            data: Some(Data::Done),
            tokens: None,
        };
    }
    // Perf: only an event that may say how many tokens were used is read.
    let read = event.data.contains("\"usage\"");
    let read = read.then(|| serde_json::from_str::<Value>(&event.data).ok());
    let tokens = read
        .flatten()
        .and_then(|read| Tokens::of_usage(read.get("usage")?));
    Translated {
        data: Some(Data::Verbatim(event.data)),
        tokens,
    }
}
