//! What the log entry says about a request to a model.

use plugin_api::{LogEdit, LogMode};
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::handler::Proxy;
use crate::usage::{Tokens, azure_members, estimate_streamed};

/// What stands for a name that is not known.
const UNKNOWN: &str = "UNSPECIFIED";

/// The edits of the log entry that the configuration wants.
pub(super) fn edits(proxy: &Proxy, mut asked: Asked) -> Vec<LogEdit> {
    let logging = proxy.llm.logging;
    if asked.since.is_none() {
        return Vec::new();
    }
    let mut edits = Vec::new();
    let mut edit = |path: &'static str, value: Value| {
        edits.push(LogEdit {
            path: path.into(),
            value: Some(value),
            mode: LogMode::Always,
        });
    };
    finish_stream(&mut asked);
    if logging.log_statistics {
        let (meta, usage) = statistics(proxy, &asked);
        edit("ai.proxy.meta", meta);
        edit("ai.proxy.usage", usage);
    }
    if logging.log_payloads {
        if let Some(request) = &asked.request {
            let request = String::from_utf8_lossy(request).into_owned();
            edit("ai.proxy.payload.request", Value::String(request));
        }
        if let Some(answer) = asked.answer {
            edit("ai.proxy.payload.response", Value::String(answer));
        }
    }
    edits
}

/// Sums up what was streamed.
fn finish_stream(asked: &mut Asked) {
    let Some(passing) = asked.passing.take() else {
        return;
    };
    asked.tokens.learn(passing.tokens);
    if asked.tokens.completion == 0 {
        asked.tokens.completion = estimate_streamed(passing.said_bytes);
    }
    let Some(said) = passing.said else {
        return;
    };
    let Tokens { prompt, completion } = asked.tokens;
    let whole = json!({
        "choices": [{
            "finish_reason": passing.finish_reason,
            "index": 0,
            "logprobs": null,
            "message": { "role": "assistant", "content": said },
        }],
        "object": "chat.completion",
        "response": said,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": asked.tokens.total(),
        },
    });
    asked.answer = Some(whole.to_string());
}

fn statistics(proxy: &Proxy, asked: &Asked) -> (Value, Value) {
    let model = asked.model.as_ref();
    let request_model = model.and_then(|model| model.name.as_deref());
    let request_model = request_model.or(asked.wanted.as_deref()).unwrap_or(UNKNOWN);
    let millis = u64::try_from(asked.latency.as_millis()).unwrap_or(u64::MAX);
    let mut meta = Map::new();
    let provider = model.map_or(UNKNOWN, |model| model.provider.name());
    for (name, value) in [
        ("plugin_id", Value::from(proxy.id.as_str())),
        ("provider_name", provider.into()),
        ("request_model", request_model.into()),
        (
            "response_model",
            asked.answered_by.as_deref().unwrap_or(request_model).into(),
        ),
        ("llm_latency", millis.into()),
    ] {
        meta.insert(name.to_owned(), value);
    }
    meta.extend(model.into_iter().flat_map(|model| azure_members(model)));
    let tokens = asked.tokens;
    let cost = model.and_then(|model| tokens.cost(&model.options));
    let usage = json!({
        "time_per_token": time_per_token(millis, tokens.completion),
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total(),
        "cost": cost.unwrap_or_default(),
    });
    (Value::Object(meta), usage)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds and tokens stay far below what a double holds exactly"
)]
fn time_per_token(millis: u64, tokens: u64) -> f64 {
    match tokens {
        0 => 0.0,
        tokens => millis as f64 / tokens as f64,
    }
}
