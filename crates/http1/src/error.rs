//! What can be wrong with a message, and how the proxy answers it.

/// A fault in a message head or body, or in an edit of a head.
///
/// Whatever the fault, the connection it came from can not be used again: nobody knows where the next message starts.
/// For bytes of a client, [`Error::status`] is the answer; for bytes of an upstream the answer is always 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request line is not `METHOD target HTTP/1.x`.
    #[error("malformed request line")]
    RequestLine,
    /// The method holds something besides upper case letters, `-` and `_`.
    #[error("malformed method")]
    Method,
    /// The target has neither origin form nor absolute form, or holds bytes or escapes that a path must not hold.
    #[error("malformed request target")]
    Target,
    /// A request line without a version: HTTP/0.9.
    #[error("HTTP/0.9 request")]
    Http09,
    /// A well-formed version other than 1.x.
    #[error("unsupported HTTP version")]
    Version,
    /// The request line does not fit the limit.
    #[error("request line too long")]
    UriTooLong,
    /// A header line, or all of them together, do not fit the limit.
    #[error("request header or cookie too large")]
    HeadTooLarge,
    /// More header lines than the limit allows.
    #[error("too many header lines")]
    TooManyHeaders,
    /// A header line that is folded, has a blank in its name, or holds control characters.
    #[error("malformed header line")]
    Header,
    /// A second line of a header that has one value, such as `Authorization`.
    #[error("repeated header line")]
    Repeated,
    /// `Host` is missing, repeated or malformed.
    #[error("missing, repeated or malformed Host")]
    Host,
    /// `Content-Length` is repeated or not a number.
    #[error("malformed or repeated Content-Length")]
    ContentLength,
    /// `Transfer-Encoding` is repeated, on HTTP/1.0, or beside `Content-Length`.
    #[error("ambiguous Transfer-Encoding")]
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    #[error("unknown transfer coding")]
    UnknownCoding,
    /// `CONNECT` or `TRACE`, which a gateway does not serve.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The status line of a response is malformed.
    #[error("malformed status line")]
    StatusLine,
    /// The chunked framing of a body is malformed, or its extensions do not fit the limit.
    #[error("malformed chunked framing")]
    Chunk,
    /// The trailer section of a body is malformed or does not fit the limit.
    #[error("malformed trailer section")]
    Trailer,
    /// The body is larger than the limit.
    #[error("body too large")]
    BodyTooLarge,
    /// The connection ended inside a message.
    #[error("message cut short")]
    Truncated,
    /// A header that is to be added has a name that is no token.
    #[error("invalid header name")]
    InvalidName,
    /// A header that is to be added has a value with control characters.
    #[error("invalid header value")]
    InvalidValue,
    /// A body that is being sent does not have the length that its head announced.
    #[error("body does not match the announced length")]
    LengthMismatch,
}

impl Error {
    /// The status that answers a client whose bytes caused the fault.
    ///
    /// Compat: 400 for a head that is too large, 501 for an unknown coding and 505 for a version are what Kong answers.
    pub fn status(self) -> u16 {
        match self {
            Error::UriTooLong => 414,
            Error::Version => 505,
            Error::UnknownCoding => 501,
            Error::MethodNotAllowed => 405,
            Error::BodyTooLarge => 413,
            Error::InvalidName | Error::InvalidValue | Error::LengthMismatch => 500,
            _ => 400,
        }
    }
}
