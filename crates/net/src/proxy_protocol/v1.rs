//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line that the protocol knows, with its line end.
const MAX_LINE: usize = 107;

pub(super) fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let window = &input[..input.len().min(MAX_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        if window.len() == MAX_LINE {
            return Err(Malformed("the line is too long"));
        }
        return Ok(None);
    };
    let line = window
        .get(SIGNATURE.len()..end)
        .ok_or(Malformed("no protocol"))?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed("not ASCII"))?;
    let mut words = line.split(' ');
    let header = match words.next() {
        Some("UNKNOWN") => Header::Local,
        Some("TCP4") => addresses::<Ipv4Addr>(words)?,
        Some("TCP6") => addresses::<Ipv6Addr>(words)?,
        _ => return Err(Malformed("unknown protocol")),
    };
    Ok(Some((header, end + 2)))
}

fn addresses<'a, A: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Header, Malformed> {
    let mut address = || {
        let word = words.next().ok_or(Malformed("an address is missing"))?;
        word.parse::<A>()
            .map(Into::into)
            .map_err(|_| Malformed("bad address"))
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next().ok_or(Malformed("a port is missing"))?;
        if word.len() > 5 || !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Malformed("bad port"));
        }
        word.parse::<u16>().map_err(|_| Malformed("bad port"))
    };
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(Malformed("more than two addresses and two ports"));
    }
    Ok(Header::Proxied {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
        authority: None,
        ssl: false,
    })
}
