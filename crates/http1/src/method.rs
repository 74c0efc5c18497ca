//! Request methods.

use crate::error::Error;

/// A request method: upper case letters, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
    /// Any other method.
    Other(Box<str>),
}

impl Method {
    /// Reads a method.
    ///
    /// Compat: like nginx it takes upper case letters, `-` and `_`; lower case and digits are an error.
    pub fn parse(text: &[u8]) -> Result<Method, Error> {
        Ok(match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => {
                let valid = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-' || *byte == b'_';
                if text.is_empty() || !text.iter().all(valid) {
                    return Err(Error::Method);
                }
                let text = std::str::from_utf8(text).map_err(|_| Error::Method)?;
                Method::Other(text.into())
            }
        })
    }

    /// The method as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Other(text) => text,
        }
    }

    /// Whether a request may be sent again although the first one may have been processed (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(
            self,
            Method::Get
                | Method::Head
                | Method::Put
                | Method::Delete
                | Method::Options
                | Method::Trace
        )
    }
}
