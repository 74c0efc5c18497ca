//! From a request to its endpoint and back: routing, methods, bodies, and the headers that every answer has.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schema::{Record, Schema};
use serde_json::{Map, Value};

use crate::arguments::{self, Encoding};
use crate::endpoint::{Endpoint, Operation};
use crate::error::Error;
use crate::propagation::{CONFIG_VERSION, ToldVersion, Wishes};
use crate::{State, answer, entity, plugin_endpoints};

const ADMIN_LATENCY: HeaderName = HeaderName::from_static("x-kong-admin-latency");
/// A request that has found its endpoint, with everything that it says.
pub struct Call<'a> {
    pub state: &'a State,
    /// All endpoints of the API.
    pub endpoints: &'a [Endpoint],
    pub endpoint: &'a Endpoint,
    /// `HEAD` is `GET` here.
    pub method: Method,
    /// The decoded values of the path's parameters, in order.
    pub parameters: Vec<String>,
    /// The path as it was sent, without a slash at its end.
    pub path: String,
    /// The header `Accept`.
    pub accept: Option<String>,
    /// Values have the types that the endpoint's entity declares.
    pub query: Map<String, Value>,
    pub encoding: Encoding,
    /// The values of a form are text; [`Call::input`] gives them types.
    pub body: Map<String, Value>,
    /// The body as it was sent.
    pub raw_body: Bytes,
}

impl Call<'_> {
    /// A parameter of the path; the table says how many there are.
    pub fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    /// The entity that the endpoint is about.
    pub fn schema(&self) -> Option<&'static Schema> {
        self.endpoint
            .operation
            .entity()
            .and_then(|name| self.state.schema(name))
    }

    /// The body as a record of `schema`, values of a form given their types.
    pub fn input(&self, schema: &Schema) -> Record {
        self.typed(schema, self.body.clone())
    }

    /// Gives the values of a form the types that `schema` declares.
    pub fn typed(&self, schema: &Schema, mut input: Record) -> Record {
        if self.encoding.is_form() {
            schema.coerce_form(&mut input, self.state.subschemas.as_ref());
        }
        input
    }
}

/// Routes every endpoint, with or without a slash at the end of the path.
pub fn build(state: State, endpoints: Arc<[Endpoint]>, origins: Origins) -> Router {
    let api = Arc::new(Api {
        state,
        endpoints,
        origins,
    });
    let mut router = Router::new();
    for (index, endpoint) in api.endpoints.iter().enumerate() {
        let handler = {
            let api = Arc::clone(&api);
            move |request: Request| {
                let api = Arc::clone(&api);
                async move { serve(&api, api.endpoints.get(index), request).await }
            }
        };
        if endpoint.path != "/" {
            router = router.route(
                &format!("{}/", endpoint.path),
                axum::routing::any(handler.clone()),
            );
        }
        router = router.route(&endpoint.path, axum::routing::any(handler));
    }
    router.fallback(move |request: Request| {
        let api = Arc::clone(&api);
        async move { serve(&api, None, request).await }
    })
}

/// One of the APIs: what it can reach and what it has.
struct Api {
    state: State,
    endpoints: Arc<[Endpoint]>,
    origins: Origins,
}

/// What browsers are told about calls from other origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// Which ones are allowed.
    Answered,
    /// Nothing.
    Ignored,
}

/// Answers one request.
async fn serve(api: &Api, endpoint: Option<&Endpoint>, request: Request) -> Response {
    let started = api.state.clock.monotonic();
    let (parts, body) = request.into_parts();
    let response = match endpoint {
        Some(endpoint) => dispatch(api, endpoint, &parts, body).await,
        None => Err(nowhere(&parts)),
    };
    let response = response.unwrap_or_else(Error::into_response);
    finish(api, &parts, started, response)
}

/// What a request is told that finds no endpoint.
///
/// Compat: a body that no endpoint would take is refused first (`unknown_paths_and_methods_are_told_apart`).
fn nowhere(parts: &Parts) -> Error {
    let encoding = match has_body(&parts.method) {
        true => arguments::encoding(&parts.headers, false),
        false => Ok(Encoding::None),
    };
    encoding.map_or_else(Error::from, |_| Error::NotFound)
}

/// Compat: an unsupported body is refused before a method is, and a method before a malformed body.
async fn dispatch(
    api: &Api,
    endpoint: &Endpoint,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let parameters = parameters(&endpoint.path, parts.uri.path()).ok_or(Error::NotFound)?;
    let accepts_yaml = matches!(&endpoint.operation, Operation::Page(page) if page.accepts_yaml());
    let encoding = if has_body(&parts.method) {
        arguments::encoding(&parts.headers, accepts_yaml)?
    } else {
        Encoding::None
    };
    if let Operation::Page(page) = &endpoint.operation {
        page.refuse_all()?;
    }
    if parts.method == Method::OPTIONS {
        let wanted = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        return Ok(answer::options(&endpoint.allow(), wanted));
    }
    if !endpoint.methods().contains(&parts.method) {
        return Err(Error::MethodNotAllowed);
    }
    let call = read(api, endpoint, parts, parameters, (encoding, body)).await?;
    let wishes = Wishes::read(parts, &call.query)?;
    let known = wishes.before(&api.state).await?;
    let answered = match &endpoint.operation {
        Operation::Page(page) => page.call(call).await,
        Operation::Plugin(endpoint) => plugin_endpoints::call(endpoint, call).await,
        _ => entity::call(call).await,
    };
    let mut response = wishes.after(&api.state, answered?).await;
    if let Some(version) = known {
        response.extensions_mut().insert(ToldVersion(version));
    }
    Ok(response)
}

/// Reads everything that a request says.
async fn read<'a>(
    api: &'a Api,
    endpoint: &'a Endpoint,
    parts: &Parts,
    parameters: Vec<String>,
    (encoding, body): (Encoding, Body),
) -> Result<Call<'a>, Error> {
    let state = &api.state;
    let raw_body = if has_body(&parts.method) {
        collect(state, body).await?
    } else {
        Bytes::new()
    };
    let body = arguments::decode_body(encoding, &parts.headers, raw_body.clone()).await?;
    let mut query = arguments::decode_query(parts.uri.query())?;
    if let Some(schema) = endpoint
        .operation
        .entity()
        .and_then(|name| state.schema(name))
    {
        schema.coerce_form(&mut query, state.subschemas.as_ref());
    }
    let path = parts.uri.path();
    Ok(Call {
        state,
        endpoints: &api.endpoints,
        endpoint,
        method: if parts.method == Method::HEAD {
            Method::GET
        } else {
            parts.method.clone()
        },
        parameters,
        path: path.strip_suffix('/').unwrap_or(path).to_owned(),
        accept: accept(parts),
        query,
        encoding,
        body,
        raw_body,
    })
}

/// All lines of the header as one; `None` if there is none, or one that is no text.
fn accept(parts: &Parts) -> Option<String> {
    let lines = parts.headers.get_all(header::ACCEPT).into_iter();
    let lines: Vec<&str> = lines
        .map(HeaderValue::to_str)
        .collect::<Result<_, _>>()
        .ok()?;
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Bodies of other requests are not looked at.
fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Reads a body up to the configured size, in the configured time.
async fn collect(state: &State, body: Body) -> Result<Bytes, Error> {
    let limited = Limited::new(body, state.options.max_body_size).collect();
    match tokio::time::timeout(state.options.body_timeout, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Error::Page(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Ok(Err(_)) => Err(Error::Page(StatusCode::BAD_REQUEST)),
        Err(_) => Err(Error::Page(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// The decoded segments of `path` at the places where `template` has parameters; `None` if one is empty.
fn parameters(template: &str, path: &str) -> Option<Vec<String>> {
    let segments = template.split('/').zip(path.split('/'));
    let values = segments.filter(|(name, _)| name.starts_with('{'));
    values
        .map(|(_, value)| (!value.is_empty()).then(|| arguments::unescape(value)))
        .collect()
}

/// Adds the headers that every answer has.
fn finish(api: &Api, request: &Parts, started: Instant, mut response: Response) -> Response {
    let state = &api.state;
    let version = response.extensions_mut().remove::<ToldVersion>();
    let headers = response.headers_mut();
    if api.origins == Origins::Answered {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            allowed_origin(state, request),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    if let Some(server) = &state.options.server {
        headers.insert(header::SERVER, server.clone());
    }
    if state.options.latency_header {
        let passed = state.clock.monotonic().saturating_duration_since(started);
        headers.insert(
            ADMIN_LATENCY,
            HeaderValue::from(passed.as_millis().min(u128::from(u64::MAX)) as u64),
        );
    }
    if let Some(ToldVersion(store::Version(version))) = version
        && request.headers.contains_key(CONFIG_VERSION)
    {
        headers.insert(CONFIG_VERSION, HeaderValue::from(version));
    }
    if request.version < Version::HTTP_2 {
        let close = wants_close(request);
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static(if close { "close" } else { "keep-alive" }),
        );
    }
    response
}

/// Compat: the first allowed origin answers a request from a foreign one.
fn allowed_origin(state: &State, request: &Parts) -> HeaderValue {
    let origin = request.headers.get(header::ORIGIN);
    let allowed = &state.options.allowed_origins;
    let chosen = match origin {
        Some(origin) if allowed.is_empty() || allowed.contains(origin) => Some(origin),
        _ => allowed.first(),
    };
    chosen.cloned().unwrap_or(HeaderValue::from_static("*"))
}

fn wants_close(request: &Parts) -> bool {
    let named = |token: &str| {
        let values = request.headers.get_all(header::CONNECTION).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(token))
    };
    named("close") || (request.version < Version::HTTP_11 && !named("keep-alive"))
}
