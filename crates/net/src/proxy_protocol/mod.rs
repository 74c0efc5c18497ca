//! The PROXY protocol, versions 1 and 2, as haproxy's proxy-protocol.txt defines it.
//!
//! [`parse`] does no IO; [`read`] drives it on a fresh connection.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::Stream;

/// What a PROXY header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The connection was made by the proxy itself (v2 LOCAL), or its origin is not known (v1 UNKNOWN; v2 without
    /// addresses, or with others than TCP ones): the socket's own addresses hold.
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

/// The longest header that is accepted: nginx has the same limit for the part after the fixed 16 bytes.
pub const MAX_HEADER: usize = v2::FIXED + v2::MAX_REST;

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
    /// The client closed the connection before the header was complete.
    #[error("the connection ended within the PROXY protocol header")]
    Closed,
    /// The connection failed.
    #[error("reading the PROXY protocol header: {0}")]
    Io(#[from] std::io::Error),
}

/// Parses the beginning of a connection. `Ok(None)` asks for more bytes; `Ok(Some((header, length)))` says how many bytes
/// the header took. Total: every input gives an answer, and no input of [`MAX_HEADER`] bytes asks for more.
pub fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if begins_like(input, v1::SIGNATURE) {
        v1::parse(input)
    } else if begins_like(input, v2::SIGNATURE) {
        v2::parse(input)
    } else {
        Err(Malformed("no signature"))
    }
}

/// Whether the input is, or may become, something that begins with the signature.
fn begins_like(input: &[u8], signature: &[u8]) -> bool {
    input
        .iter()
        .zip(signature)
        .all(|(got, wanted)| got == wanted)
}

/// Reads the header from a fresh connection; bytes that follow it stay to be read.
pub async fn read(stream: &mut Stream, timeout: Duration) -> Result<Header, ReadError> {
    match tokio::time::timeout(timeout, read_header(stream)).await {
        Ok(result) => result,
        Err(_) => Err(ReadError::TimedOut),
    }
}

async fn read_header(stream: &mut Stream) -> Result<Header, ReadError> {
    let mut buffer = Vec::with_capacity(512);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(ReadError::Closed);
        }
        if let Some((header, length)) = parse(&buffer)? {
            stream.unread(&buffer[length..])?;
            return Ok(header);
        }
    }
}
