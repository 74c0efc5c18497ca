//! Looks for forbidden and allowed words in what a client says to a model.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Services, Step};
use regex::RegexSet;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conversation::{Format, MOST_HELD, refusal, request};
use crate::native::Native;

#[derive(Deserialize)]
struct Config {
    allow_patterns: Option<Vec<String>>,
    deny_patterns: Option<Vec<String>>,
    allow_all_conversation_history: bool,
    match_all_roles: bool,
    max_request_body_size: u64,
    llm_format: Format,
}

struct Guard {
    allow: RegexSet,
    deny: RegexSet,
    only_latest: bool,
    all_roles: bool,
    native: Option<Native>,
    most: u64,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let compiled = |patterns: Option<Vec<String>>| {
        RegexSet::new(patterns.unwrap_or_default())
            .map_err(|error| Failure::new(format!("a pattern cannot be used: {error}")))
    };
    Ok(Arc::new(Guard {
        allow: compiled(config.allow_patterns)?,
        deny: compiled(config.deny_patterns)?,
        only_latest: config.allow_all_conversation_history,
        all_roles: config.match_all_roles,
        native: config.llm_format.native(),
        most: config.max_request_body_size,
    }))
}

impl Handler for Guard {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            held_body: self.most.min(MOST_HELD),
            ..Needs::phases(&[Phase::Access])
        }
    }

    /// A refusal does not say why: who tries to get around the guard learns nothing about it.
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let prompt = self.prompt(&request(exchange, self.most));
        if prompt.is_some_and(|prompt| self.lets_through(&prompt)) {
            Step::next()
        } else {
            Step::answer(refusal("bad request"))
        }
    }
}

impl Guard {
    /// All that is looked at, the latest message first; `None` if the request is none that can be judged.
    fn prompt(&self, request: &Map<String, Value>) -> Option<String> {
        if let Some(native) = self.native {
            return self.said(&native.messages(request)?);
        }
        match request.get("messages") {
            Some(messages) => self.said(messages.as_array()?),
            None => request.get("prompt")?.as_str().map(str::to_owned),
        }
    }

    fn said(&self, messages: &[Value]) -> Option<String> {
        let mut said = Vec::new();
        for message in messages.iter().rev() {
            let role = message.get("role")?.as_str()?;
            if role != "user" && !self.all_roles {
                continue;
            }
            said.push(message.get("content")?.as_str()?);
            if self.only_latest {
                break;
            }
        }
        Some(said.join(" "))
    }

    fn lets_through(&self, prompt: &str) -> bool {
        !self.deny.is_match(prompt) && (self.allow.is_empty() || self.allow.is_match(prompt))
    }
}
