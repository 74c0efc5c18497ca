//! Endpoints that plugins have, seen from outside: what they do is the node's business.

use async_trait::async_trait;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Method, StatusCode};
use serde_json::{Map, Value};

use crate::answer;
use crate::error::Error;
use crate::router::Call;

/// An endpoint that a plugin has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginEndpoint {
    pub plugin: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    /// Without `HEAD` and `OPTIONS`.
    pub methods: Vec<Method>,
    pub summary: &'static str,
}

/// The endpoints of the plugins that can be configured.
#[async_trait]
pub trait PluginEndpoints: Send + Sync {
    /// All of them.
    fn all(&self) -> Vec<PluginEndpoint>;

    /// Answers a request to the one with this path. The error is for the log.
    async fn call(&self, path: &str, request: PluginRequest) -> Result<PluginAnswer, String>;
}

/// A request to a plugin's endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginRequest {
    /// `HEAD` is `GET` here.
    pub method: Method,
    /// The decoded values of the path's parameters, in their order.
    pub parameters: Vec<String>,
    pub body: Map<String, Value>,
}

/// What a plugin answers. Without a body, a status of 400 or more is shown as a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginAnswer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: PluginBody,
}

/// The body of such an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginBody {
    Empty,
    Json(Value),
    Bytes(Vec<u8>),
}

/// No plugin has any.
pub struct NoPluginEndpoints;

#[async_trait]
impl PluginEndpoints for NoPluginEndpoints {
    fn all(&self) -> Vec<PluginEndpoint> {
        Vec::new()
    }

    async fn call(&self, _: &str, _: PluginRequest) -> Result<PluginAnswer, String> {
        Err("no plugin has endpoints".to_owned())
    }
}

/// Has a plugin answer.
pub async fn call(endpoint: &PluginEndpoint, call: Call<'_>) -> Result<Response, Error> {
    let request = PluginRequest {
        method: call.method.clone(),
        parameters: call.parameters,
        body: call.body,
    };
    let answer = call.state.plugins.call(endpoint.path, request).await;
    let failed = |reason: String| {
        tracing::error!(plugin = endpoint.plugin, path = endpoint.path, "{reason}");
        let message = "An unexpected error occurred".to_owned();
        Error::Refused(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    let answer = answer.map_err(failed)?;
    let status = StatusCode::from_u16(answer.status)
        .map_err(|_| failed(format!("a status that there is not: {}", answer.status)))?;
    let mut response = match answer.body {
        PluginBody::Empty if status.as_u16() >= 400 => answer::error_page(status),
        PluginBody::Empty => answer::empty(status),
        PluginBody::Json(body) => answer::json_body(status, &body),
        PluginBody::Bytes(body) => {
            let mut response = Response::new(body.into());
            *response.status_mut() = status;
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
    };
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value))
        {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
