//! Endpoints of the Admin API that plugins have beside those of their entities.

use http1::Method;
use serde_json::{Map, Value};

use crate::{BoxFuture, Failure, Reply, Services};

/// An endpoint of the Admin API that shows or changes what a plugin keeps, such as the entries of a cache.
///
/// It is listed, described and served like every other endpoint, on nodes where the plugin can be configured.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// With parameters in braces, such as `/proxy-cache/{cache_key}`.
    pub path: &'static str,
    /// Without `HEAD` and `OPTIONS`, which every endpoint answers.
    pub methods: &'static [Method],
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Answers a request. An answer of 400 or more without a body is shown as a page of the Admin API's.
    pub run: Run,
}

/// What an endpoint does; it runs on the control side.
pub type Run = fn(EndpointCall) -> BoxFuture<Result<Reply, Failure>>;

/// A request to an endpoint.
#[derive(Clone)]
pub struct EndpointCall {
    /// `HEAD` is `GET` here.
    pub method: Method,
    /// The decoded values of the path's parameters, in their order; none is empty.
    pub parameters: Vec<String>,
    /// The members of a JSON body, or the fields of a form as text.
    pub body: Map<String, Value>,
    pub services: Services,
}

impl EndpointCall {
    /// A parameter of the path.
    pub fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }
}
