//! What a configuration says about a model, and about who asks it.

use std::sync::Arc;

use plugin_api::{Exchange, arguments};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use stdx::Secret;

/// What requests of a route are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RouteType {
    #[serde(rename = "llm/v1/chat")]
    Chat,
    #[serde(rename = "llm/v1/completions")]
    Completions,
    /// Anything: nothing is translated.
    #[serde(rename = "preserve")]
    Preserve,
}

impl RouteType {
    /// The name that configurations and answers use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "llm/v1/chat",
            Self::Completions => "llm/v1/completions",
            Self::Preserve => "preserve",
        }
    }
}

/// A model, and how it is asked: the record of [`model_fields`](crate::model::model_fields).
#[derive(Deserialize)]
pub struct Llm {
    pub route_type: RouteType,
    #[serde(default, deserialize_with = "or_default")]
    pub auth: Auth,
    #[serde(deserialize_with = "choice")]
    pub model: Choice,
    pub logging: Logging,
}

/// How the gateway proves itself to the provider.
#[derive(Default, Deserialize)]
pub struct Auth {
    pub header_name: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub header_value: Option<Secret>,
    pub param_name: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub param_value: Option<Secret>,
    pub param_location: Option<ParamLocation>,
    #[serde(default, deserialize_with = "or_default")]
    pub gcp_use_service_account: bool,
    #[serde(default, deserialize_with = "secret")]
    pub gcp_service_account_json: Option<Secret>,
    pub aws_access_key_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub aws_secret_access_key: Option<Secret>,
    #[serde(default, deserialize_with = "or_default")]
    pub allow_override: bool,
}

impl Auth {
    /// Name and value of the header that proves it.
    pub fn header(&self) -> Option<(&str, &[u8])> {
        let value = self.header_value.as_ref()?;
        Some((self.header_name.as_deref()?, value.expose().as_bytes()))
    }

    /// Name and value of the parameter that proves it, if it stands there.
    pub fn parameter(&self, location: ParamLocation) -> Option<(&str, &str)> {
        let value = self.param_value.as_ref()?;
        let stands_there = self.param_location == Some(location);
        Some((self.param_name.as_deref()?, value.expose())).filter(|_| stands_there)
    }
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamLocation {
    Query,
    Body,
}

/// What is logged.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Logging {
    pub log_statistics: bool,
    pub log_payloads: bool,
}

/// Who provides a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Openai,
    Azure,
    Anthropic,
    Cohere,
    Mistral,
    Llama2,
    Gemini,
    Bedrock,
    Huggingface,
}

impl Provider {
    /// The name that configurations and answers use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
            Self::Llama2 => "llama2",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Huggingface => "huggingface",
        }
    }
}

/// One model.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    pub provider: Provider,
    pub name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub options: Options,
}

impl Model {
    /// The name, or an empty one.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// How a model is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Options {
    pub max_tokens: Option<Number>,
    pub input_cost: Option<f64>,
    pub output_cost: Option<f64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub anthropic_version: Option<String>,
    pub azure_instance: Option<String>,
    pub azure_api_version: Option<String>,
    pub azure_deployment_id: Option<String>,
    pub llama2_format: Option<Dialect>,
    pub mistral_format: Option<Dialect>,
    pub upstream_url: Option<String>,
    pub upstream_path: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub gemini: GeminiOptions,
    #[serde(default, deserialize_with = "or_default")]
    pub bedrock: BedrockOptions,
    #[serde(default, deserialize_with = "or_default")]
    pub huggingface: HuggingfaceOptions,
}

/// How a model that is hosted anywhere is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    Raw,
    Openai,
    Ollama,
}

/// Where a model on Vertex is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GeminiOptions {
    pub api_endpoint: Option<String>,
    pub project_id: Option<String>,
    pub location_id: Option<String>,
}

/// Where a model on Bedrock is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct BedrockOptions {
    pub aws_region: Option<String>,
}

/// What is asked of Hugging Face besides the answer.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HuggingfaceOptions {
    #[serde(default, deserialize_with = "or_default")]
    pub use_cache: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub wait_for_model: bool,
}

/// A model that is settled, or that requests choose by expressions such as `$(headers.x-model)` in its texts.
pub enum Choice {
    Settled(Arc<Model>),
    Chosen {
        provider: Provider,
        record: Value,
        /// The region of a model at Amazon, where the record names none.
        region: Option<String>,
    },
}

/// Where credentials are asked for if each request chooses its region, and the machine names none.
const ANY_REGION: &str = "us-east-1";

impl Choice {
    /// Who provides the model: requests cannot choose that.
    pub fn provider(&self) -> Provider {
        match self {
            Self::Settled(model) => model.provider,
            Self::Chosen { provider, .. } => *provider,
        }
    }

    /// The model of a request.
    ///
    /// # Errors
    /// With what to tell the client, if it did not give what an expression asks for.
    pub fn of(&self, exchange: &Exchange<'_>) -> Result<Arc<Model>, String> {
        let (provider, record, region) = match self {
            Self::Settled(model) => return Ok(model.clone()),
            Self::Chosen {
                provider,
                record,
                region,
            } => (*provider, record, region),
        };
        let mut model = Model::deserialize(filled(record, exchange)?)
            .map_err(|error| format!("the model cannot be read: {error}"))?;
        model.provider = provider;
        let place = &mut model.options.bedrock.aws_region;
        *place = place.take().or_else(|| region.clone());
        Ok(Arc::new(model))
    }

    /// The region of a model at Amazon: the machine's, where the configuration names none. It is that of all requests
    /// that choose none themselves.
    pub fn settle_region(&mut self, of_machine: Option<String>) -> Option<String> {
        match self {
            Self::Settled(model) => {
                let place = &mut Arc::make_mut(model).options.bedrock.aws_region;
                *place = place.take().or(of_machine);
                place.clone()
            }
            Self::Chosen { record, region, .. } => {
                region.clone_from(&of_machine);
                let written = record.pointer("/options/bedrock/aws_region");
                match written.and_then(Value::as_str) {
                    Some(written) if expression(written).is_none() => Some(written.to_owned()),
                    Some(_) => of_machine.or_else(|| Some(ANY_REGION.to_owned())),
                    None => of_machine,
                }
            }
        }
    }
}

fn choice<'de, D: Deserializer<'de>>(from: D) -> Result<Choice, D::Error> {
    use serde::de::Error;

    let record = Value::deserialize(from)?;
    let model = Model::deserialize(&record).map_err(D::Error::custom)?;
    if holds_expression(&record) {
        let provider = model.provider;
        return Ok(Choice::Chosen {
            provider,
            record,
            region: None,
        });
    }
    Ok(Choice::Settled(Arc::new(model)))
}

fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => expression(text).is_some(),
        Value::Object(members) => members.values().any(holds_expression),
        _ => false,
    }
}

/// The first expression of a text, with what stands before and behind it.
fn expression(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("$(")?;
    let (inside, behind) = rest.split_once(')')?;
    Some((before, inside, behind))
}

fn filled(value: &Value, exchange: &Exchange<'_>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => match expression(text) {
            Some((before, inside, behind)) => {
                let said = evaluate(text, inside, exchange)?;
                Value::String([before, &said, behind].concat())
            }
            None => value.clone(),
        },
        Value::Object(members) => {
            let mut filled_in = Map::new();
            for (name, member) in members {
                filled_in.insert(name.clone(), filled(member, exchange)?);
            }
            Value::Object(filled_in)
        }
        _ => value.clone(),
    })
}

fn evaluate(text: &str, inside: &str, exchange: &Exchange<'_>) -> Result<String, String> {
    let parts: Vec<&str> = inside.split('.').collect();
    let [source, key] = parts[..] else {
        return Err(format!("cannot parse expression for field '{text}'"));
    };
    let readable = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = match source {
        "headers" => exchange.head.headers.get(key).map(readable),
        "uri_captures" => {
            let captures = exchange.matched.captures;
            captures.and_then(|captures| captures.name(key).map(str::to_owned))
        }
        "query_params" => {
            let mut given = arguments(exchange.query());
            let found = given.find(|argument| *argument.name == *key.as_bytes());
            found.map(|argument| readable(argument.value.as_deref().unwrap_or(b"true")))
        }
        _ => return Err(format!("source '{source}' is not supported")),
    };
    said.ok_or_else(|| format!("{source} key {key} was not provided"))
}

/// Null stands for the type's default.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.map(Secret::new))
}
