//! Answers that a plugin gives in place of the upstream.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

/// An answer of a plugin. Headers that every answer gets (`Date`, `Server`, the framing) are added by the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// In the order in which they are sent; a name may come several times.
    pub headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    pub body: Body,
    /// Whether an upstream gave this answer before: it is sent and logged as if it came from there now. To `HEAD`, a
    /// `Content-Length` among its headers is sent as it is.
    pub replayed: bool,
}

/// The body of a plugin's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Empty,
    /// Sent as it is; the content type, if any, is among the headers.
    Bytes(Bytes),
    /// Sent as JSON with its content type. A gRPC client gets an object's `message` in `grpc-message` instead.
    Json(Value),
    /// Sent in the form that the client accepts (JSON, HTML, XML, plain text), with the request's id in it.
    Error(Cow<'static, str>),
}

impl Reply {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Empty,
            replayed: false,
        }
    }

    /// `{"message": …}` as JSON, whatever the client accepts.
    pub fn message(status: u16, message: &str) -> Self {
        Self::new(status).with_body(Body::Json(json!({ "message": message })))
    }

    /// An error in the form that the client accepts.
    pub fn error(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status).with_body(Body::Error(message.into()))
    }

    /// The same with this body.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// The same with one header more.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Vec<u8>>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}
