//! Puts messages around those of the client.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Services, Step};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::conversation::{Format, MOST_HELD, refusal, request};
use crate::native::Native;

#[derive(Deserialize)]
struct Config {
    prompts: Prompts,
    max_request_body_size: u64,
    llm_format: Format,
}

#[derive(Deserialize)]
struct Prompts {
    prepend: Option<Vec<Message>>,
    append: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

struct Decorator {
    prepend: Vec<Value>,
    append: Vec<Value>,
    native: Option<Native>,
    most: u64,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let values = |messages: Option<Vec<Message>>| {
        let messages = messages.into_iter().flatten();
        messages
            .map(|message| json!({ "role": message.role, "content": message.content }))
            .collect()
    };
    Ok(Arc::new(Decorator {
        prepend: values(config.prompts.prepend),
        append: values(config.prompts.append),
        native: config.llm_format.native(),
        most: config.max_request_body_size,
    }))
}

impl Handler for Decorator {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            held_body: self.most.min(MOST_HELD),
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let Some(decorated) = self.decorate(request(exchange, self.most)) else {
            let refused = refusal("this LLM route only supports llm/chat type requests");
            return Step::answer(refused);
        };
        Step::Now(forward(exchange, &decorated).map(|()| Flow::Next))
    }
}

impl Decorator {
    /// The request with our messages; `None` if it has none of its own.
    fn decorate(&self, mut request: Map<String, Value>) -> Option<Map<String, Value>> {
        if let Some(native) = self.native {
            native.decorate(&mut request, &self.prepend, &self.append)?;
            return Some(request);
        }
        let messages = request.get_mut("messages")?.as_array_mut()?;
        if messages.is_empty() {
            return None;
        }
        messages.splice(..0, self.prepend.iter().cloned());
        messages.extend(self.append.iter().cloned());
        Some(request)
    }
}

fn forward(exchange: &mut Exchange<'_>, request: &Map<String, Value>) -> Result<(), Failure> {
    let body = serde_json::to_vec(request)
        .map_err(|error| Failure::new(format!("a request that cannot be written: {error}")))?;
    exchange.set_body(body);
    exchange
        .head
        .headers
        .set("content-type", b"application/json")?;
    Ok(())
}
