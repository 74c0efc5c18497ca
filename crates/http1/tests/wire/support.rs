//! Single heads, and what both sides of a proxy see.

use bytes::BytesMut;
use http1::{
    BufferPool, Error, Limits, Method, RequestHead, RequestParser, ResponseHead, ResponseParser,
};

pub use crate::relay::{forward_requests, forward_response};

/// Parses the head of one request; what is left of the input comes with it.
pub fn request(bytes: &[u8]) -> Result<(RequestHead, BytesMut), Error> {
    let mut input = BytesMut::from(bytes);
    match RequestParser::new(Limits::default()).parse(&mut input, &BufferPool::default())? {
        Some(head) => Ok((head, input)),
        None => Err(Error::Truncated),
    }
}

/// Parses the head of one response.
pub fn response(bytes: &[u8]) -> Result<(ResponseHead, BytesMut), Error> {
    let mut input = BytesMut::from(bytes);
    match ResponseParser::new(Limits::for_upstream()).parse(&mut input, &BufferPool::default())? {
        Some(head) => Ok((head, input)),
        None => Err(Error::Truncated),
    }
}

/// The upstream's bytes as text, or the error.
pub fn upstream_sees(bytes: &[u8]) -> Result<String, Error> {
    let (out, result) = forward_requests(bytes, usize::MAX);
    result.map(|()| String::from_utf8_lossy(&out).into_owned())
}

/// The client's bytes as text, or the error.
pub fn client_sees(bytes: &[u8]) -> Result<String, Error> {
    let out = forward_response(bytes, &Method::Get, usize::MAX)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
