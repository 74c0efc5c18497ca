//! What a request over HTTP/2 must not carry, above all when it goes on as HTTP/1.

use http::header::{self, HeaderName};
use http::{Method, request};

/// Headers that speak of a connection, which HTTP/2 manages itself (RFC 9113, 8.2.2).
const CONNECTION_SPECIFIC: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Checks what HTTP/1 would not survive and RFC 9113 section 8 forbids: connection-specific headers, TE other than
/// trailers, several or malformed content lengths, several Hosts or one that differs from `:authority`, a path that
/// does not begin with a slash. Control characters cannot occur: the types of `http` exclude them.
pub fn check_request(head: &request::Parts) -> Result<(), &'static str> {
    if CONNECTION_SPECIFIC
        .iter()
        .any(|name| head.headers.contains_key(name))
    {
        return Err("a connection-specific header");
    }
    if head
        .headers
        .get_all(header::TE)
        .iter()
        .any(|value| value != "trailers")
    {
        return Err("TE other than trailers");
    }
    check_length(head)?;
    check_host(head)?;
    if head.method == Method::CONNECT {
        return Ok(());
    }
    let path = head.uri.path();
    if path.starts_with('/') || (path == "*" && head.method == Method::OPTIONS) {
        Ok(())
    } else {
        Err("a path without a slash")
    }
}

fn check_length(head: &request::Parts) -> Result<(), &'static str> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    if lengths.next().is_some()
        || length.is_empty()
        || !length.as_bytes().iter().all(u8::is_ascii_digit)
    {
        return Err("a malformed content length");
    }
    Ok(())
}

fn check_host(head: &request::Parts) -> Result<(), &'static str> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("several Host headers");
    }
    match (host, head.uri.authority()) {
        (Some(host), Some(authority))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err("a Host other than :authority")
        }
        _ => Ok(()),
    }
}
