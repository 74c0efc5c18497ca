//! What a router looks at in a request or connection.

use std::net::SocketAddr;

/// How the client speaks to us. gRPC counts as the HTTP it travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
}

impl Scheme {
    /// The value of the expression field `net.protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }
}

/// The header lines of a request, in any storage.
pub trait HeaderLines {
    /// Calls the visitor with every name (in any letter case) and value, in order.
    fn visit(&self, visitor: &mut dyn FnMut(&[u8], &[u8]));
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> HeaderLines for &[(N, V)] {
    fn visit(&self, visitor: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in *self {
            visitor(name.as_ref(), value.as_ref());
        }
    }
}

/// A request without header lines; also what a stream connection has.
#[derive(Debug, Clone, Copy)]
pub struct NoHeaders;

impl HeaderLines for NoHeaders {
    fn visit(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
}

/// One request or stream connection to be routed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub scheme: Scheme,
    pub method: &'a [u8],
    /// The Host header or `:authority` as it came, port included.
    pub host: Option<&'a [u8]>,
    /// The path without the query, after [`crate::normalize_path`].
    pub path: &'a [u8],
    /// What follows the question mark, undecoded.
    pub query: &'a [u8],
    pub headers: &'a dyn HeaderLines,
    /// The name the client gave in its TLS greeting.
    pub sni: Option<&'a str>,
    pub source: Option<SocketAddr>,
    /// The address and port the client connected to, after `port_maps`.
    pub destination: Option<SocketAddr>,
}

impl<'a> Request<'a> {
    /// A plain request for a path, to be completed with struct update syntax.
    pub fn http(method: &'a [u8], host: Option<&'a [u8]>, path: &'a [u8]) -> Self {
        Self {
            scheme: Scheme::Http,
            method,
            host,
            path,
            query: b"",
            headers: &NoHeaders,
            sni: None,
            source: None,
            destination: None,
        }
    }
}
