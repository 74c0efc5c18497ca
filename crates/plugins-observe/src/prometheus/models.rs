//! The use of language models, as the plugins that talk to them put it into the log entry: under `ai`, an object for each
//! of the plugins with `meta`, `usage` and `cache`.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use plugin_api::{LogEdit, Page};
use serde_json::{Map, Value};

use super::families::{LLM_BOUNDS, LLM_COST, LLM_LATENCY, LLM_REQUESTS, LLM_TOKENS};

/// The most combinations of labels; what comes on top is not counted.
const MOST: usize = 1000;

const KINDS_OF_TOKENS: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

/// What a node has counted. One lock is enough: an answer of a model takes its time.
#[derive(Debug, Default)]
pub struct Models(Mutex<BTreeMap<[String; 7], Usage>>);

#[derive(Debug, Default)]
struct Usage {
    requests: u64,
    cost: f64,
    /// By [`KINDS_OF_TOKENS`].
    tokens: [f64; 3],
    /// By [`LLM_BOUNDS`].
    latencies: [u64; LLM_BOUNDS.len() + 1],
    latency_sum: f64,
}

impl Models {
    /// Counts what the edits of a log entry tell.
    pub fn count(&self, edits: &[LogEdit], workspace: &str) {
        if !edits.iter().any(|edit| edit.path.starts_with("ai")) {
            return;
        }
        let mut entry = Map::new();
        for edit in edits {
            edit.apply(&mut entry);
        }
        let uses = entry.get("ai").and_then(Value::as_object);
        for (_, of) in uses.into_iter().flatten() {
            self.add(of, workspace);
        }
    }

    fn add(&self, of: &Value, workspace: &str) {
        let text = |part: &str, field: &str| {
            let value = of.get(part).and_then(|part| part.get(field));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let positive = |part: &str, field: &str| {
            let value = of.get(part).and_then(|part| part.get(field));
            value.and_then(Value::as_f64).filter(|value| *value > 0.0)
        };
        let labels = [
            text("meta", "provider_name"),
            text("meta", "request_model"),
            text("cache", "cache_status"),
            text("cache", "vector_db"),
            text("cache", "embeddings_provider"),
            text("cache", "embeddings_model"),
            workspace.to_owned(),
        ];
        let mut all = self.0.lock();
        if all.len() >= MOST && !all.contains_key(&labels) {
            return;
        }
        let usage = all.entry(labels).or_default();
        usage.requests += 1;
        usage.cost += positive("usage", "cost").unwrap_or_default();
        for (sum, kind) in usage.tokens.iter_mut().zip(KINDS_OF_TOKENS) {
            *sum += positive("usage", kind).unwrap_or_default();
        }
        if let Some(latency) = positive("meta", "llm_latency") {
            let at = LLM_BOUNDS
                .iter()
                .position(|bound| latency <= f64::from(*bound));
            usage.latencies[at.unwrap_or(LLM_BOUNDS.len())] += 1;
            usage.latency_sum += latency;
        }
    }

    /// Writes what there is.
    pub fn write(&self, page: &mut Page) {
        for (labels, usage) in &*self.0.lock() {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            page.sample(&LLM_REQUESTS, &labels, usage.requests);
            if usage.cost > 0.0 {
                page.sample(&LLM_COST, &labels, usage.cost);
            }
            for (kind, sum) in KINDS_OF_TOKENS.into_iter().zip(usage.tokens) {
                if sum > 0.0 {
                    let mut labels = labels.clone();
                    labels.insert(labels.len() - 1, kind);
                    page.sample(&LLM_TOKENS, &labels, sum);
                }
            }
            if usage.latency_sum > 0.0 {
                let sum = usage.latency_sum;
                page.histogram(&LLM_LATENCY, &labels, &LLM_BOUNDS, &usage.latencies, sum);
            }
        }
    }
}
