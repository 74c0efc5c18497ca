//! Where a model is asked.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use plugin_api::{Exchange, arguments};
use url::Url;

use crate::settings::{Model, Provider, RouteType};

/// What is encoded in the name of a model in a path. Some names have parts, or a version behind a colon.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':');

/// What is encoded in a query: all but unreserved characters of RFC 3986.
const ENCODED_IN_QUERY: &AsciiSet = &ENCODED.add(b'/').add(b':');

/// A query with these arguments in place of those of their names. Compat: sorted by name, as Kong sends a query that it
/// has changed.
pub fn with_arguments(query: &[u8], added: &[(&str, &str)]) -> Vec<u8> {
    let replaced = |name: &[u8]| added.iter().any(|(other, _)| *name == *other.as_bytes());
    let mut all: Vec<_> = arguments(query)
        .filter(|argument| !replaced(&argument.name))
        .map(|argument| (argument.name, argument.value))
        .collect();
    all.extend(
        added
            .iter()
            .map(|(name, value)| (name.as_bytes().into(), Some(value.as_bytes().into()))),
    );
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let encoded = |text: &[u8]| percent_encode(text, ENCODED_IN_QUERY).to_string();
    let pairs = all.iter().map(|(name, value)| match value {
        Some(value) => format!("{}={}", encoded(name), encoded(value)),
        None => encoded(name),
    });
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

/// The URL of a model, without what a request adds to it.
///
/// # Errors
/// With the reason, if the configuration leads to no URL.
pub fn url(model: &Model, route: RouteType, streamed: bool) -> Result<Url, String> {
    let options = &model.options;
    let own = options.upstream_url.as_deref();
    let text = match model.provider {
        Provider::Huggingface => {
            let models = "https://api-inference.huggingface.co/models";
            let base = own.map(|own| own.trim_end_matches('/').to_owned());
            let base = match base {
                Some(base) => base,
                None => format!("{models}/{}", name_in_path(model)?),
            };
            match route {
                RouteType::Completions => base,
                _ => format!("{base}/v1/chat/completions"),
            }
        }
        _ => match own {
            Some(own) => own.to_owned(),
            None => {
                let path = match options.upstream_path.clone() {
                    Some(path) => path,
                    None => operation(model, route, streamed)?.unwrap_or_default(),
                };
                format!("{}/{}", base(model)?, path.trim_start_matches('/'))
            }
        },
    };
    let unusable = |error| format!("the URL of the model cannot be used: {error}");
    let mut url = Url::parse(&text).map_err(unusable)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("the URL of the model is neither http nor https".to_owned());
    }
    // Of the others, the URL is the whole truth.
    let path_wins = matches!(
        model.provider,
        Provider::Gemini | Provider::Bedrock | Provider::Huggingface
    );
    if let (true, Some(path)) = (path_wins, &options.upstream_path) {
        url.set_path(path);
    }
    Ok(url)
}

/// Scheme, host and what every path at the provider begins with.
fn base(model: &Model) -> Result<String, String> {
    let options = &model.options;
    let missing = |name: &str| format!("model.options.{name} is missing");
    Ok(match model.provider {
        Provider::Openai => "https://api.openai.com".to_owned(),
        Provider::Anthropic => "https://api.anthropic.com".to_owned(),
        Provider::Cohere => "https://api.cohere.com".to_owned(),
        Provider::Mistral => "https://api.mistral.ai".to_owned(),
        Provider::Azure => {
            let instance = options.azure_instance.as_deref();
            let deployment = options.azure_deployment_id.as_deref();
            format!(
                "https://{}.openai.azure.com/openai/deployments/{}",
                label("azure_instance", instance)?,
                deployment.ok_or_else(|| missing("azure_deployment_id"))?,
            )
        }
        Provider::Gemini => match &options.gemini.api_endpoint {
            Some(endpoint) => format!("https://{endpoint}"),
            None => "https://generativelanguage.googleapis.com".to_owned(),
        },
        Provider::Bedrock => {
            let region = options.bedrock.aws_region.as_deref();
            let region = label("bedrock.aws_region", region)?;
            format!("https://bedrock-runtime.{region}.{}", aws::domain(region))
        }
        Provider::Llama2 | Provider::Huggingface => return Err(missing("upstream_url")),
    })
}

/// A setting that becomes a part of the host's name: who may choose it must not choose another host.
fn label<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, String> {
    let value = value.ok_or_else(|| format!("model.options.{name} is missing"))?;
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match !value.is_empty() && value.bytes().all(is_label) {
        true => Ok(value),
        false => Err(format!("model.options.{name} cannot stand in a host")),
    }
}

/// The path of what is asked for, if the provider has such a thing.
fn operation(model: &Model, route: RouteType, streamed: bool) -> Result<Option<String>, String> {
    let chat = match route {
        RouteType::Chat => true,
        RouteType::Completions => false,
        RouteType::Preserve => return Ok(None),
    };
    let either = |chat_path: &str, path: &str| Some(if chat { chat_path } else { path }.to_owned());
    Ok(match model.provider {
        Provider::Openai => either("v1/chat/completions", "v1/completions"),
        Provider::Azure => either("chat/completions", "completions"),
        Provider::Anthropic => either("v1/messages", "v1/complete"),
        Provider::Cohere => either("v1/chat", "v1/generate"),
        Provider::Mistral => chat.then(|| "v1/chat/completions".to_owned()),
        Provider::Gemini => {
            let verb = match streamed {
                true => "streamGenerateContent",
                false => "generateContent",
            };
            let place = &model.options.gemini;
            let path = match (&place.project_id, &place.location_id) {
                (Some(project), Some(location)) => {
                    format!("v1/projects/{project}/locations/{location}/publishers/google/models")
                }
                _ => "v1beta/models".to_owned(),
            };
            let name = name_in_path(model)?;
            chat.then(|| format!("{path}/{name}:{verb}"))
        }
        Provider::Bedrock => {
            let verb = if streamed {
                "converse-stream"
            } else {
                "converse"
            };
            // Whole: a name may be that of a resource, with slashes and colons in it.
            let name = name_in_path(model)?.replace('/', "%2F").replace(':', "%3A");
            chat.then(|| format!("model/{name}/{verb}"))
        }
        Provider::Llama2 | Provider::Huggingface => None,
    })
}

/// The name of a model as a part of a path: who may name the model must not leave the place of models.
fn name_in_path(model: &Model) -> Result<String, String> {
    let name = model.name();
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the name of the model cannot stand in a path".to_owned());
    }
    Ok(percent_encode(name.as_bytes(), ENCODED).to_string())
}

/// Sends a request to a model. What is preserved keeps its path, unless the configuration has another one.
pub fn redirect(exchange: &mut Exchange<'_>, model: &Model, route: RouteType, url: &Url) {
    if route == RouteType::Preserve && model.options.upstream_path.is_none() {
        let path = exchange.head.path().to_vec();
        exchange.set_path(&path);
    } else {
        exchange.set_path(url.path().as_bytes());
    }
    if let Some(own) = url.query().filter(|own| !own.is_empty()) {
        let query = match exchange.query() {
            [] => own.as_bytes().to_vec(),
            asked => [own.as_bytes(), b"&", asked].concat(),
        };
        exchange.set_query(&query);
    }
    let upstream = &mut exchange.work.upstream;
    upstream.scheme = Some(url.scheme().into());
    upstream.port = url.port_or_known_default();
    let host = url.host_str().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    upstream.host = Some(bare.unwrap_or(host).into());
    // Compat: the name of the host, without its port ("ai-proxy openai sends its credential header upstream").
    upstream.host_header = Some(host.into());
}
