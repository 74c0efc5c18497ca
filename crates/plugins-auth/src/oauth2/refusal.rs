//! Answers of the endpoints, refusals above all.

use std::borrow::Cow;

use plugin_api::{Body, Failure, Outcome, Reply, Unavailable, WriteError};
use serde_json::{Map, Value};

/// Why an endpoint gives nothing.
pub(super) enum Refusal {
    /// The request is not right.
    Error(ProtocolError),
    /// Nobody can say, or nothing can be stored, right now.
    Unavailable(String),
    /// The plugin could not do its work.
    Failed(Failure),
}

/// An error of the protocol, as RFC 6749 section 5.2 has them.
pub(super) struct ProtocolError {
    status: u16,
    error: &'static str,
    description: Cow<'static, str>,
}

impl ProtocolError {
    pub(super) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: 400,
            error,
            description: description.into(),
        }
    }

    /// The client did not say who it is, or cannot prove it.
    pub(super) fn invalid_client() -> Self {
        Self::new("invalid_client", "Invalid client authentication")
    }

    pub(super) fn is_invalid_client(&self) -> bool {
        self.error == "invalid_client"
    }

    #[must_use]
    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// `error` and `error_description`.
    pub(super) fn members(&self) -> Map<String, Value> {
        Map::from_iter([
            ("error".to_owned(), self.error.into()),
            ("error_description".to_owned(), (*self.description).into()),
        ])
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unavailable> for Refusal {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable.to_string())
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable(reason) => Self::Unavailable(reason),
            other => Self::Failed(other.into()),
        }
    }
}

impl Refusal {
    /// The answer that says so; the client gets back its `state`.
    pub(super) fn answer(self, state: Option<&Value>) -> Outcome {
        match self {
            Self::Error(error) => {
                let reply = document(error.status, error.members(), state);
                Ok(match error.status {
                    401 => reply.with_header("WWW-Authenticate", "Basic realm=\"OAuth2.0\""),
                    _ => reply,
                }
                .into())
            }
            Self::Unavailable(reason) => {
                tracing::warn!("no token or code is issued: {reason}");
                let error = ProtocolError::new(
                    "temporarily_unavailable",
                    "Nothing can be issued right now",
                );
                let reply = document(503, error.members(), state);
                Ok(reply.with_header("Retry-After", "5").into())
            }
            Self::Failed(failure) => Err(failure),
        }
    }
}

/// An answer of an endpoint, which nobody may keep.
pub(super) fn document(
    status: u16,
    mut members: Map<String, Value>,
    state: Option<&Value>,
) -> Reply {
    if let Some(state) = state {
        members.insert("state".to_owned(), state.clone());
    }
    Reply::new(status)
        .with_header("Cache-Control", "no-store")
        .with_header("Pragma", "no-cache")
        .with_body(Body::Json(members.into()))
}
