//! The PROXY protocol, versions 1 and 2, as haproxy's proxy-protocol.txt defines it.

use std::net::SocketAddr;

use crate::Stream;

/// What a PROXY header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The connection was made by the proxy itself (v2 LOCAL), or its origin is not known (v1 UNKNOWN, v2 AF_UNSPEC and
    /// unix addresses): the socket's own addresses hold.
    Local,
    /// The connection was made on behalf of somebody else.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
        /// The host name that the client asked the proxy for (v2 PP2_TYPE_AUTHORITY).
        authority: Option<Box<str>>,
        /// Whether the client spoke TLS to the proxy (v2 PP2_TYPE_SSL with PP2_CLIENT_SSL).
        ssl: bool,
    },
}

/// The longest header that is accepted.
pub const MAX_HEADER: usize = 16 + 4096;

/// Why bytes are not a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken PROXY protocol header: {0}")]
pub struct Malformed(pub &'static str);

/// Why no PROXY header could be read from a connection.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are something else.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The header did not arrive in time.
    #[error("the PROXY protocol header did not arrive in time")]
    TimedOut,
    /// The connection ended or failed.
    #[error("reading the PROXY protocol header: {0}")]
    Io(#[from] std::io::Error),
}

/// Parses the beginning of a connection. `Ok(None)` asks for more bytes; `Ok(Some((header, length)))` says how many bytes
/// the header took. Total: every input gives an answer, and no input of [`MAX_HEADER`] bytes asks for more.
pub fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let _ = input;
    unimplemented!()
}

/// Reads the header from a fresh connection; bytes that follow it stay to be read.
pub async fn read(stream: &mut Stream, timeout: std::time::Duration) -> Result<Header, ReadError> {
    let _ = (stream, timeout);
    unimplemented!()
}
