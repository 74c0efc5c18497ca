//! How much of a model was used, and what that cost.

use serde_json::Value;

use crate::provider::Members;
use crate::settings::{Model, Options};

/// Tokens that were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

impl Tokens {
    /// What an answer's member `usage` says; `None` if it says nothing.
    pub fn of_usage(usage: &Value) -> Option<Self> {
        let prompt = usage.get("prompt_tokens").and_then(Value::as_u64);
        let completion = usage.get("completion_tokens").and_then(Value::as_u64);
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        Some(Self {
            prompt: prompt.unwrap_or_default(),
            completion: completion.unwrap_or_default(),
        })
    }

    /// Takes over what is known better now: what providers say in a stream only grows.
    pub fn learn(&mut self, said: Self) {
        if said.prompt > 0 {
            self.prompt = said.prompt;
        }
        self.completion = self.completion.max(said.completion);
    }

    /// Both kinds together.
    pub fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// What they cost by the prices of the options, which are for a million tokens; nothing without both prices.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of tokens stay far below what a double holds exactly"
    )]
    pub fn cost(self, options: &Options) -> Option<f64> {
        let (input, output) = (options.input_cost?, options.output_cost?);
        Some((self.prompt as f64 * input + self.completion as f64 * output) / 1e6)
    }
}

/// How many tokens a prompt may have, by its words, for providers that do not say it.
pub fn estimate(request: &Members, streamed: bool) -> u64 {
    let words = match (request.get("messages"), request.get("prompt")) {
        (Some(Value::Array(messages)), _) => messages
            .iter()
            .map(|message| words(&message["content"]))
            .sum(),
        (_, Some(prompt)) => words(prompt),
        _ => 0,
    };
    // Compat: the factors are Kong's.
    match streamed {
        true => words.saturating_mul(18).saturating_add(5) / 10,
        false => words,
    }
}

fn words(content: &Value) -> u64 {
    match content {
        Value::String(said) => said.split_ascii_whitespace().count() as u64,
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts
                .map(|text| text.split_ascii_whitespace().count() as u64)
                .sum()
        }
        _ => 0,
    }
}

/// How many tokens so many bytes of a streamed answer are, for providers that do not say it: four bytes to a token.
pub fn estimate_streamed(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// The members `azure_…` of what is logged about a model at Azure.
pub fn azure_members(model: &Model) -> impl Iterator<Item = (String, Value)> {
    let options = &model.options;
    let members = [
        ("azure_instance_id", &options.azure_instance),
        ("azure_deployment_id", &options.azure_deployment_id),
        ("azure_api_version", &options.azure_api_version),
    ];
    let azure = model.provider == crate::settings::Provider::Azure;
    members
        .into_iter()
        .filter(move |_| azure)
        .map(|(name, value)| (name.to_owned(), Value::from(value.clone())))
}
