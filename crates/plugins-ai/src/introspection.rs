//! Has a model rewrite a text: what the transforming plugins have in common.

use std::time::Duration;

use plugin_api::{
    Configured, Destination, Exchange, Failure, HttpProxy, HttpRequest, LogEdit, LogMode,
    NetworkError, Services, TlsOptions, arguments,
};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::{Account, Outgoing};
use crate::provider::{self, Members};
use crate::settings::{Llm, Model, ParamLocation, Provider, RouteType};
use crate::usage::{Tokens, azure_members};
use crate::{coding, effects, endpoint};

/// The longest answer of a model that is read.
const MOST_ANSWER: usize = 8 << 20;

/// How long a connection to a model is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Config {
    prompt: String,
    transformation_extract_pattern: Option<String>,
    http_timeout: u64,
    https_verify: bool,
    http_proxy_host: Option<String>,
    http_proxy_port: Option<u16>,
    https_proxy_host: Option<String>,
    https_proxy_port: Option<u16>,
    llm: Llm,
}

/// A model that rewrites texts.
pub struct Introspection {
    /// The plugin that asks, as the log names it.
    plugin: &'static str,
    id: String,
    llm: Llm,
    account: Option<Account>,
    prompt: String,
    pattern: Option<Regex>,
    timeout: Duration,
    verify: bool,
    /// What leads to models that are asked over plain HTTP.
    http_proxy: Option<HttpProxy>,
    /// What leads to those that are asked over TLS.
    https_proxy: Option<HttpProxy>,
    services: Services,
}

/// What a model has made of a text.
pub struct Rewritten {
    pub text: String,
    /// What the log is to say about it.
    pub log: Vec<LogEdit>,
}

impl Introspection {
    /// The model of a configuration.
    ///
    /// # Errors
    /// When it asks for what cannot be done.
    pub fn build(
        plugin: &'static str,
        record: &Configured<'_>,
        services: &Services,
    ) -> Result<Self, Failure> {
        let mut config: Config = record.read()?;
        let account = effects::check(plugin, &mut config.llm, services)?;
        let pattern = config.transformation_extract_pattern.as_deref();
        let pattern = pattern.map(|pattern| {
            let built = RegexBuilder::new(pattern).case_insensitive(true).build();
            built.map_err(|error| Failure::new(format!("transformation_extract_pattern: {error}")))
        });
        Ok(Self {
            plugin,
            id: record.id.to_string(),
            llm: config.llm,
            account,
            prompt: config.prompt,
            pattern: pattern.transpose()?,
            timeout: Duration::from_millis(config.http_timeout),
            verify: config.https_verify,
            http_proxy: proxy(config.http_proxy_host, config.http_proxy_port),
            https_proxy: proxy(config.https_proxy_host, config.https_proxy_port),
            services: services.clone(),
        })
    }

    /// Has the model rewrite a text.
    ///
    /// # Errors
    /// With what to tell the client.
    pub async fn rewrite(
        &self,
        exchange: &Exchange<'_>,
        given: &[u8],
    ) -> Result<Rewritten, String> {
        let model = self.llm.model.of(exchange)?;
        let request = self.request(&model, given)?;
        let began = self.services.clock.monotonic();
        let body = self.ask(&model, request).await;
        let body = body
            .map_err(|reason| format!("failed to introspect request with AI service: {reason}"))?;
        let latency = self
            .services
            .clock
            .monotonic()
            .saturating_duration_since(began);
        let answer = provider::answer(&model, RouteType::Chat, &body)
            .map_err(|reason| format!("failed to convert AI response to Kong format: {reason}"))?;
        let log = self.log(&model, given, &answer, latency);
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| format!("failed to convert AI response to JSON: {error}"))?;
        let content = answer
            .pointer("/choices/0/message/content")
            .and_then(Value::as_str);
        let content = content.ok_or("no 'choices' in upstream AI service response")?;
        let text = match &self.pattern {
            None => content.to_owned(),
            Some(pattern) => {
                let found = pattern
                    .find(content.as_bytes())
                    .ok_or("AI response did not match specified regular expression")?;
                String::from_utf8_lossy(found.as_bytes()).into_owned()
            }
        };
        Ok(Rewritten { text, log })
    }

    /// The request to the model, in its language.
    fn request(&self, model: &Model, given: &[u8]) -> Result<Members, String> {
        let mut request = Members::new();
        let given = String::from_utf8_lossy(given);
        let messages = match provider::knows_system_prompts(model) {
            true => json!([
                { "role": "system", "content": self.prompt },
                { "role": "user", "content": given },
            ]),
            false => json!([
                { "role": "user", "content": self.prompt },
                { "role": "assistant", "content": "What is the message?" },
                { "role": "user", "content": given },
            ]),
        };
        request.insert("messages".to_owned(), messages);
        request.insert("stream".to_owned(), Value::Bool(false));
        let mut request = provider::request(model, RouteType::Chat, request)?;
        if let Some((name, value)) = self.llm.auth.parameter(ParamLocation::Body) {
            request.insert(name.to_owned(), Value::from(value));
        }
        Ok(request)
    }

    /// The body of the model's answer.
    async fn ask(&self, model: &Model, request: Members) -> Result<Vec<u8>, String> {
        let mut url = endpoint::url(model, RouteType::Chat, false)?;
        let mut added = Vec::new();
        let query = url.query().unwrap_or_default().as_bytes();
        let version = model.options.azure_api_version.as_deref();
        if let (Provider::Azure, Some(version)) = (model.provider, version)
            && !arguments(query).any(|argument| *argument.name == *b"api-version")
        {
            added.push(("api-version", version));
        }
        added.extend(self.llm.auth.parameter(ParamLocation::Query));
        let query = endpoint::with_arguments(query, &added);
        let query = String::from_utf8_lossy(&query);
        url.set_query(Some(&*query).filter(|query| !query.is_empty()));
        let body = serde_json::to_vec(&request)
            .map_err(|error| format!("failed to parse body to json: {error}"))?;
        let mut headers = self.headers(model);
        if let Some(account) = &self.account {
            if let Some(query) = account.query(url.query().unwrap_or_default().as_bytes()) {
                url.set_query(Some(&*query).filter(|query| !query.is_empty()));
            }
            let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
            let outgoing = Outgoing {
                method: "POST",
                host,
                path: url.path(),
                query: url.query().unwrap_or_default(),
                body: &body,
            };
            let proofs = account.prove(model, &outgoing).await.map_err(|reason| {
                let plugin = self.plugin;
                tracing::error!("{plugin}: a request cannot be proved to its provider: {reason}");
                "there are no credentials for it".to_owned()
            })?;
            let is_proof = |name: &str| {
                proofs
                    .iter()
                    .any(|(other, _)| other.eq_ignore_ascii_case(name))
            };
            headers.retain(|(name, _)| !is_proof(name));
            headers.extend(proofs);
        }
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: url.to_string(),
            headers,
            body: body.into(),
            timeout: self.timeout,
            keep_alive: KEEP_ALIVE,
            tls: TlsOptions {
                server_name: None,
                verify: self.verify,
            },
            max_response: MOST_ANSWER,
        };
        let proxy = match url.scheme() {
            "https" => &self.https_proxy,
            _ => &self.http_proxy,
        };
        let network = &self.services.network;
        let answer = match proxy {
            Some(proxy) => network.http_through(proxy.clone(), request).await,
            None => network.http(request).await,
        };
        let answer = answer.map_err(|error: NetworkError| {
            tracing::warn!("{}: a model cannot be asked: {error}", self.plugin);
            let reason = match &error {
                NetworkError::Timeout => "timeout",
                NetworkError::Failed(_) => "connection failed",
            };
            format!("request to ai service failed: request failed: {reason}")
        })?;
        if answer.status > 299 {
            return Err(format!("status code {}", answer.status));
        }
        let mut headers = answer.headers.iter();
        let is_packed = headers.any(|(name, value)| {
            name.eq_ignore_ascii_case("content-encoding") && value.eq_ignore_ascii_case(b"gzip")
        });
        match is_packed {
            true => coding::unpack(&answer.body).ok_or_else(|| "a damaged answer".to_owned()),
            false => Ok(answer.body.to_vec()),
        }
    }

    fn headers(&self, model: &Model) -> Vec<(String, Vec<u8>)> {
        let mut headers = vec![
            ("Accept".to_owned(), b"application/json".to_vec()),
            ("Content-Type".to_owned(), b"application/json".to_vec()),
        ];
        if let (Provider::Anthropic, Some(version)) =
            (model.provider, &model.options.anthropic_version)
        {
            let version = version.as_bytes().to_vec();
            headers.push(("anthropic-version".to_owned(), version));
        }
        if let Some((name, value)) = self.llm.auth.header() {
            headers.push((name.to_owned(), value.to_vec()));
        }
        headers
    }

    fn log(&self, model: &Model, given: &[u8], answer: &[u8], latency: Duration) -> Vec<LogEdit> {
        let logging = self.llm.logging;
        let mut edits = Vec::new();
        let mut edit = |what: &str, value: Value| {
            edits.push(LogEdit {
                path: format!("ai.{}.{what}", self.plugin).into(),
                value: Some(value),
                mode: LogMode::Always,
            });
        };
        if logging.log_payloads {
            let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
            edit("payload.request", text(given));
            edit("payload.response", text(answer));
        }
        if logging.log_statistics {
            let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
            edit("meta", self.meta(model, &answer, latency));
            edit("usage", usage(model, &answer, latency));
            edit("cache", json!({}));
        }
        edits
    }

    fn meta(&self, model: &Model, answer: &Value, latency: Duration) -> Value {
        let answered_by = answer.get("model").filter(|name| name.is_string());
        let mut meta = Map::new();
        for (name, value) in [
            ("plugin_id", Value::from(self.id.as_str())),
            ("provider_name", model.provider.name().into()),
            (
                "request_model",
                model.name.as_deref().unwrap_or("UNSPECIFIED").into(),
            ),
            (
                "response_model",
                answered_by.cloned().unwrap_or(json!(model.name)),
            ),
            ("llm_latency", millis(latency).into()),
        ] {
            meta.insert(name.to_owned(), value);
        }
        meta.extend(azure_members(model));
        Value::Object(meta)
    }
}

fn proxy(host: Option<String>, port: Option<u16>) -> Option<HttpProxy> {
    let at = Destination {
        host: host?,
        port: port?,
    };
    Some(HttpProxy {
        at,
        authorization: None,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn usage(model: &Model, answer: &Value, latency: Duration) -> Value {
    let Some(tokens) = answer.get("usage").and_then(Tokens::of_usage) else {
        return json!({});
    };
    let mut usage = json!({
        "time_per_token": millis(latency).checked_div(tokens.completion).unwrap_or_default(),
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total(),
    });
    if let Some(cost) = tokens.cost(&model.options) {
        usage["cost"] = json!(cost);
    }
    usage
}
