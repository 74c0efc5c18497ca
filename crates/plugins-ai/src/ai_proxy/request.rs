//! Brings a request into the provider's form, and sends it there.

use std::sync::Arc;

use plugin_api::{Exchange, Known, arguments};
use serde_json::Value;

use super::asked::Asked;
use super::handler::{Proxy, Streaming};
use crate::coding;
use crate::conversation::{is_json, members};
use crate::endpoint::{self, with_arguments};
use crate::provider::{self, Members, is_streamed};
use crate::settings::{Auth, Llm, Model, ParamLocation, Provider, RouteType};
use crate::usage;

/// Turns the exchange to the model.
///
/// # Errors
/// With what to tell the client.
pub(super) fn send(proxy: &Proxy, exchange: &mut Exchange<'_>) -> Result<(), String> {
    let Proxy { llm, .. } = proxy;
    let route = llm.route_type;
    let mut request = read(exchange, proxy.most).unwrap_or_default();
    if let Some(native) = proxy.native {
        request = native.request(exchange, &request);
    }
    let wanted = request.get("model").and_then(Value::as_str);
    let wanted = wanted.map(str::to_owned);
    exchange.state::<Asked>().wanted = wanted.clone();
    let model = choose(llm, exchange, &request, wanted)?;
    let can_stream = provider::can_stream(&model, route);
    let streams = streams(proxy.streaming, can_stream, &request)?;
    if streams {
        request.insert("stream".to_owned(), Value::Bool(true));
    }
    let prompt = match provider::counts_streamed_tokens(model.provider) {
        true => 0,
        false => usage::estimate(&request, streams),
    };
    let takes_packed = coding::takes_packed(&exchange.head.headers);
    let written = match proxy.native {
        Some(_) => None,
        None => write(llm, &model, request)?,
    };
    if let Some(body) = written {
        let edited = exchange
            .head
            .headers
            .set(Known::ContentType, "application/json");
        edited.map_err(|error| format!("the content type cannot be set: {error}"))?;
        exchange.set_body(body);
    }
    let url = endpoint::url(&model, route, streams)?;
    endpoint::redirect(exchange, &model, route, &url);
    head(proxy, exchange, &model, streams)
        .map_err(|error| format!("a header of the model's cannot be set: {error}"))?;
    query(exchange, &llm.auth, &model);
    let logging = llm.logging;
    let logs = logging.log_statistics || logging.log_payloads;
    let passes_as_is = route == RouteType::Preserve && !logs;
    let body = exchange.work.body.clone().filter(|_| logging.log_payloads);
    let asked = exchange.state::<Asked>();
    asked.streams = streams;
    asked.passes_as_is = passes_as_is;
    asked.takes_packed = takes_packed;
    asked.tokens.prompt = prompt;
    asked.request = body;
    asked.model = Some(model);
    if streams || passes_as_is {
        exchange.work.skip_response();
    }
    Ok(())
}

/// The members of a request in JSON or in a form.
fn read(exchange: &Exchange<'_>, most: u64) -> Option<Members> {
    let content_type = exchange.head.headers.get(Known::ContentType);
    if content_type.is_none_or(is_json) {
        return members(exchange, most);
    }
    let is_form = content_type?
        .to_ascii_lowercase()
        .starts_with(b"application/x-www-form-urlencoded");
    if !is_form || exchange.body().len() as u64 > most {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let given = arguments(exchange.body()).map(|argument| {
        let value = argument.value.map(|value| Value::String(text(&value)));
        (text(&argument.name), value.unwrap_or(Value::Bool(true)))
    });
    Some(given.collect())
}

/// The model of a request that fits the route.
fn choose(
    llm: &Llm,
    exchange: &Exchange<'_>,
    request: &Members,
    wanted: Option<String>,
) -> Result<Arc<Model>, String> {
    let route = llm.route_type;
    let mut model = llm.model.of(exchange)?;
    let messages = request.get("messages").and_then(Value::as_array);
    let is_chat = messages.is_some_and(|messages| !messages.is_empty());
    let is_completion = request.get("prompt").is_some_and(Value::is_string);
    if route != RouteType::Preserve && !is_chat && !is_completion {
        return Err("request body doesn't contain valid prompts".to_owned());
    }
    match (&model.name, wanted) {
        (None, Some(wanted)) => Arc::make_mut(&mut model).name = Some(wanted),
        (Some(name), Some(wanted)) if !wanted.is_empty() && *name != wanted => {
            return Err(format!("cannot use own model - must be: {name}"));
        }
        (None, None) if route != RouteType::Preserve => {
            let reason = "model parameter not found in request, nor in gateway configuration";
            return Err(reason.to_owned());
        }
        _ => {}
    }
    let format = match (is_chat, is_completion) {
        _ if route == RouteType::Preserve => return Ok(model),
        (true, true) => return Err("request matches multiple LLM request formats".to_owned()),
        (true, false) => RouteType::Chat,
        (false, _) => RouteType::Completions,
    };
    if format != route {
        return Err(format!(
            "[{}] message format is not compatible with [{}] route type",
            format.name(),
            route.name()
        ));
    }
    Ok(model)
}

fn streams(streaming: Streaming, can: bool, request: &Members) -> Result<bool, String> {
    let wanted = streaming == Streaming::Always || is_streamed(request);
    match wanted && (streaming == Streaming::Deny || !can) {
        true => Err("response streaming is not enabled for this LLM".to_owned()),
        false => Ok(wanted),
    }
}

/// The body that the provider gets; `None` if it gets the client's.
fn write(llm: &Llm, model: &Model, request: Members) -> Result<Option<Vec<u8>>, String> {
    let parameter = llm.auth.parameter(ParamLocation::Body);
    let preserved = llm.route_type == RouteType::Preserve;
    if preserved && (parameter.is_none() || request.is_empty()) {
        return Ok(None);
    }
    let own = parameter.and_then(|(name, _)| request.get(name).cloned());
    let mut translated = provider::request(model, llm.route_type, request)?;
    if let Some((name, value)) = parameter {
        let value = match own.filter(|_| llm.auth.allow_override) {
            Some(own) => own,
            None => Value::from(value),
        };
        translated.insert(name.to_owned(), value);
    }
    let written = serde_json::to_vec(&translated);
    written
        .map(Some)
        .map_err(|error| format!("the request cannot be written: {error}"))
}

/// The headers that the provider gets.
fn head(
    proxy: &Proxy,
    exchange: &mut Exchange<'_>,
    model: &Model,
    streams: bool,
) -> Result<(), plugin_api::Failure> {
    use Provider::{Azure, Bedrock, Gemini, Openai};

    let auth = &proxy.llm.auth;
    let headers = &mut exchange.head.headers;
    // Answers have to be read: nothing else can be unpacked.
    let accepts = headers.contains(Known::AcceptEncoding);
    let unpacks = proxy.native.is_none() || !streams;
    match model.provider {
        _ if !unpacks && !coding::takes_packed(headers) => {
            headers.set(Known::AcceptEncoding, "identity")?;
        }
        Gemini => headers.set(Known::AcceptEncoding, "identity")?,
        Openai | Azure | Bedrock => headers.set(Known::AcceptEncoding, "gzip, identity")?,
        _ if accepts => headers.set(Known::AcceptEncoding, "gzip, identity")?,
        _ => {}
    }
    if let (Provider::Anthropic, Some(version)) = (model.provider, &model.options.anthropic_version)
    {
        headers.set("anthropic-version", version)?;
    }
    if let Some((name, value)) = auth.header()
        && !(auth.allow_override && headers.contains(name))
    {
        headers.set(name, value)?;
    }
    Ok(())
}

/// The query that the provider gets.
fn query(exchange: &mut Exchange<'_>, auth: &Auth, model: &Model) {
    let query = exchange.query();
    let has = |name: &str| arguments(query).any(|argument| *argument.name == *name.as_bytes());
    let mut added = Vec::new();
    let version = model.options.azure_api_version.as_deref();
    if let (Provider::Azure, Some(version)) = (model.provider, version)
        && !has("api-version")
    {
        added.push(("api-version", version));
    }
    if let Some((name, value)) = auth.parameter(ParamLocation::Query)
        && !(auth.allow_override && has(name))
    {
        added.push((name, value));
    }
    if !added.is_empty() {
        let query = with_arguments(query, &added);
        exchange.set_query(&query);
    }
}
