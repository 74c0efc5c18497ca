//! HTTP versions.

use crate::error::Error;

/// A version of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/1.2 and above, which is served as HTTP/1.1 (RFC 9110 section 2.5).
    Later,
}

impl Version {
    /// Reads `HTTP/1.x`.
    ///
    /// A well-formed version that is not 1.x gives [`Error::Version`], everything else [`Error::RequestLine`].
    pub(crate) fn parse(text: &[u8]) -> Result<Version, Error> {
        let number = text.strip_prefix(b"HTTP/").ok_or(Error::RequestLine)?;
        let dot = number
            .iter()
            .position(|&byte| byte == b'.')
            .ok_or(Error::RequestLine)?;
        let (major, minor) = (&number[..dot], &number[dot + 1..]);
        let digits =
            |part: &[u8]| matches!(part.len(), 1..=2) && part.iter().all(u8::is_ascii_digit);
        if !digits(major) || !digits(minor) || major[0] == b'0' {
            return Err(Error::RequestLine);
        }
        match (major, minor) {
            (b"1", b"0") => Ok(Version::Http10),
            (b"1", b"1") => Ok(Version::Http11),
            (b"1", _) => Ok(Version::Later),
            _ => Err(Error::Version),
        }
    }
}
