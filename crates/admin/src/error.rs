//! Everything that an Admin request can be refused with, and the one place that turns it into an answer.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schema::Violations;
use serde_json::{Map, Value, json};
use store::repository;

use crate::{answer, arguments, outage, propagation};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Not found")]
    NotFound,
    #[error("Method not allowed")]
    MethodNotAllowed,
    /// A status with a sentence.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// A status with a body of its own.
    #[error("refused with {0}")]
    Body(StatusCode, Value),
    /// A bare status, shown as nginx shows it.
    #[error("refused with {0}")]
    Page(StatusCode),
    /// This node does not serve the version that a read needs.
    #[error("this node does not serve version {} of the configuration yet", .wanted.0)]
    Behind { wanted: store::Version },
    #[error(transparent)]
    Arguments(#[from] arguments::Error),
    #[error("{}", .0.message())]
    Invalid(Violations),
    #[error("{0}")]
    Failure(Box<Failure>),
    #[error(transparent)]
    Repository(#[from] repository::Error),
}

/// An error object of the Admin API: `{"code": …, "name": …, "message": …}` with what it is about.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    kind: Kind,
    message: String,
    /// Goes into `fields`, or into `options` for [`Kind::InvalidOptions`].
    details: Option<Value>,
    /// What `invalid unique …` is about.
    subject: &'static str,
}

/// The kinds of error objects, with Kong's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    InvalidPrimaryKey = 1,
    SchemaViolation = 2,
    PrimaryKeyViolation = 3,
    ForeignKeyViolation = 4,
    UniqueViolation = 5,
    NotFound = 6,
    InvalidOffset = 7,
    InvalidSize = 9,
    InvalidUnique = 10,
    InvalidOptions = 11,
    OperationUnsupported = 12,
    ForeignKeysUnresolved = 13,
    ReferencedByOthers = 19,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::InvalidPrimaryKey => "invalid primary key",
            Kind::SchemaViolation => "schema violation",
            Kind::PrimaryKeyViolation => "primary key violation",
            Kind::ForeignKeyViolation => "foreign key violation",
            Kind::UniqueViolation => "unique constraint violation",
            Kind::NotFound => "not found",
            Kind::InvalidOffset => "invalid offset",
            Kind::InvalidSize => "invalid size",
            Kind::InvalidUnique => "invalid unique",
            Kind::InvalidOptions => "invalid options",
            Kind::OperationUnsupported => "operation unsupported",
            Kind::ForeignKeysUnresolved => "foreign keys unresolved",
            Kind::ReferencedByOthers => "referenced by others",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::UniqueViolation => StatusCode::CONFLICT,
            Kind::OperationUnsupported => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl Failure {
    /// An error object without details.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: None,
            subject: "",
        }
    }

    /// Adds what it is about.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The value in a URL cannot be a value of the field.
    pub fn invalid_unique(field: &'static str, message: String) -> Self {
        Self {
            subject: field,
            ..Self::new(Kind::InvalidUnique, message)
        }
    }

    /// One field is refused.
    pub fn violation(field: &str, message: &str) -> Self {
        let text = format!("schema violation ({field}: {message})");
        Self::new(Kind::SchemaViolation, text).with(json!({ field: message }))
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let name = match self.subject {
            "" => self.kind.name().to_owned(),
            subject => format!("{} {subject}", self.kind.name()),
        };
        body.insert("code".into(), json!(self.kind as u8));
        body.insert("name".into(), Value::String(name));
        body.insert("message".into(), Value::String(self.message.clone()));
        if let Some(details) = &self.details {
            let place = if self.kind == Kind::InvalidOptions {
                "options"
            } else {
                "fields"
            };
            body.insert(place.into(), details.clone());
        }
        Value::Object(body)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Failure(Box::new(failure))
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Error::Invalid(violations)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::NotFound => answer::message(StatusCode::NOT_FOUND, "Not found"),
            Error::MethodNotAllowed => {
                answer::message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
            }
            Error::Refused(status, message) => answer::message(status, &message),
            Error::Body(status, body) => answer::json_body(status, &body),
            Error::Page(status) => answer::error_page(status),
            Error::Behind { .. } => propagation::later(&self.to_string()),
            Error::Arguments(arguments::Error::UnsupportedMediaType) => {
                answer::error_page(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Error::Arguments(error) => answer::message(StatusCode::BAD_REQUEST, &error.to_string()),
            Error::Invalid(violations) => {
                let failure = Failure::new(Kind::SchemaViolation, violations.message());
                object(&failure.with(violations.to_json()))
            }
            Error::Failure(failure) => object(&failure),
            Error::Repository(error) => refuse(error),
        }
    }
}

fn object(failure: &Failure) -> Response {
    answer::json_body(failure.kind.status(), &failure.body())
}

/// The object for what the repository refuses; what is nobody's mistake is logged and not shown.
fn refuse(error: repository::Error) -> Response {
    let message = error.to_string();
    let failure = match error {
        repository::Error::Schema(violations) => {
            Failure::new(Kind::SchemaViolation, message).with(violations.into_json())
        }
        repository::Error::Unresolved { fields, .. } => {
            Failure::new(Kind::ForeignKeysUnresolved, message).with(Value::Object(fields))
        }
        repository::Error::Store(error) => match from_store(error, message) {
            Ok(failure) => failure,
            Err(error) => return plain(&error),
        },
    };
    object(&failure)
}

/// The object for what a store refuses; the error itself if it has none.
fn from_store(error: store::Error, message: String) -> Result<Failure, store::Error> {
    let failure = |kind| Failure::new(kind, message.clone());
    match error {
        store::Error::PrimaryKeyViolation { id } => {
            Ok(failure(Kind::PrimaryKeyViolation).with(json!({ "id": id.to_string() })))
        }
        store::Error::UniqueViolation { fields } => {
            Ok(failure(Kind::UniqueViolation).with(Value::Object(fields)))
        }
        store::Error::MissingReference { field, value, .. } => {
            Ok(failure(Kind::ForeignKeyViolation).with(json!({ field: { "id": value } })))
        }
        store::Error::StillReferenced { referenced_by, .. } => {
            Ok(failure(Kind::ForeignKeyViolation).with(json!({ "@referenced_by": referenced_by })))
        }
        store::Error::InvalidOffset { .. } => Ok(failure(Kind::InvalidOffset)),
        store::Error::ReadOnly(_) => Ok(failure(Kind::OperationUnsupported)),
        store::Error::NotFound
        | store::Error::Conflict
        | store::Error::Unavailable(_)
        | store::Error::Full(_)
        | store::Error::Unprepared(_)
        | store::Error::OutOfRange { .. }
        | store::Error::Null { .. }
        | store::Error::TooLong(_)
        | store::Error::Database(_) => Err(error),
    }
}

/// The answer while the store cannot do what it is asked.
fn unable(error: &store::Error, what: &str) -> Response {
    outage::report(&error.to_string());
    propagation::later(&format!("{what}, try again later"))
}

/// The answer to what has no object.
fn plain(error: &store::Error) -> Response {
    match error {
        store::Error::NotFound => answer::message(StatusCode::NOT_FOUND, "Not found"),
        store::Error::Conflict => answer::message(
            StatusCode::CONFLICT,
            "The record was changed at the same time",
        ),
        store::Error::Unavailable(_) => unable(error, "The database is out of reach or fails"),
        store::Error::Full(_) => unable(error, "The database has no room left"),
        store::Error::Unprepared(_) => unable(error, "The database lacks a table"),
        error => {
            tracing::error!("{error}");
            answer::message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "An unexpected error occurred",
            )
        }
    }
}

#[cfg(test)]
mod tests;
