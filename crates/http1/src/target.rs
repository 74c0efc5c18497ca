//! The request target.

use memchr::memchr;

use crate::error::Error;
use crate::token::{contains_either, find, is_target};

/// A request target in origin form or absolute form, as ranges of the received bytes.
///
/// Compat: a gateway has no use for the authority form (`CONNECT`) and Kong refuses the asterisk form, so both are errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Host and port of an absolute form; empty otherwise.
    pub authority: (usize, usize),
    /// The path, empty for an absolute form without one.
    pub path: (usize, usize),
    /// The query with its question mark, without a fragment; empty when there is none.
    pub query: (usize, usize),
}

/// Reads the target that is `input[start..end]`.
pub(crate) fn parse(input: &[u8], start: usize, end: usize) -> Result<Target, Error> {
    let target = &input[start..end];
    if !is_target(target) {
        return Err(Error::Target);
    }
    let authority = if target[0] == b'/' {
        (start, start)
    } else {
        authority(target, start)?
    };
    let path_start = if authority.0 == authority.1 {
        start
    } else {
        authority.1
    };
    let rest = &input[path_start..end];
    let path_end = find(rest, b'?').map_or(end, |at| path_start + at);
    check_path(&input[path_start..path_end])?;
    let query_end = find(&input[path_end..end], b'#').map_or(end, |at| path_end + at);
    Ok(Target {
        authority,
        path: (path_start, path_end),
        query: (path_end, query_end),
    })
}

/// Finds the authority of an absolute form: letters, digits, dots, dashes and a port, or an address in brackets.
fn authority(target: &[u8], start: usize) -> Result<(usize, usize), Error> {
    let scheme = memchr(b':', target).ok_or(Error::Target)?;
    let is_http = target[..scheme].eq_ignore_ascii_case(b"http")
        || target[..scheme].eq_ignore_ascii_case(b"https");
    if !is_http || !target[scheme..].starts_with(b"://") {
        return Err(Error::Target);
    }
    let from = scheme + 3;
    let len = target[from..]
        .iter()
        .position(|&byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(target.len() - from);
    let authority = &target[from..from + len];
    let (host, port) = match authority
        .iter()
        .rposition(|&byte| byte == b':' || byte == b']')
    {
        Some(at) if authority[at] == b':' => (&authority[..at], &authority[at + 1..]),
        _ => (authority, &b""[..]),
    };
    let literal = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"));
    let valid = match literal {
        Some(address) => {
            !address.is_empty()
                && address
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => host
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')),
    };
    let target_rest = target.get(from + len);
    if !valid
        || !port.iter().all(u8::is_ascii_digit)
        || target_rest == Some(&b'#')
        || !crate::host::is_host(authority)
    {
        return Err(Error::Target);
    }
    Ok((start + from, start + from + len))
}

/// Checks the path as nginx does before anybody routes it: every escape is complete, none is a NUL, and no dot segments,
/// escaped or not, climb above the root.
fn check_path(path: &[u8]) -> Result<(), Error> {
    if !contains_either(path, b'%', b'.') {
        return Ok(());
    }
    let mut depth = 0i32;
    let mut length = 0usize;
    let mut dots = 0usize;
    let mut rest = path.iter().copied();
    loop {
        let byte = match rest.next() {
            Some(b'%') => Some(escaped(&mut rest)?),
            Some(b'#') | None => None,
            other => other,
        };
        match byte {
            Some(b'/') | None => {
                depth += match (length, dots) {
                    (0, _) | (1, 1) => 0,
                    (2, 2) => -1,
                    _ => 1,
                };
                if depth < 0 {
                    return Err(Error::Target);
                }
                if byte.is_none() {
                    return Ok(());
                }
                (length, dots) = (0, 0);
            }
            Some(byte) => {
                length += 1;
                dots += usize::from(byte == b'.');
            }
        }
    }
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> Result<u8, Error> {
    let mut digit = || {
        rest.next()
            .and_then(|byte| char::from(byte).to_digit(16))
            .ok_or(Error::Target)
    };
    let byte = (digit()? * 16 + digit()?) as u8;
    if byte == 0 {
        Err(Error::Target)
    } else {
        Ok(byte)
    }
}
