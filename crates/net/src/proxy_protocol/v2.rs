//! Version 2: binary.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length of the rest.
pub(super) const FIXED: usize = 16;

/// The longest rest (addresses and TLVs) that is accepted.
pub(super) const MAX_REST: usize = 4096;

const COMMAND_LOCAL: u8 = 0x20;
const COMMAND_PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

pub(super) fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    if command != COMMAND_LOCAL && command != COMMAND_PROXY {
        return Err(Malformed("unknown version or command"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_REST {
        return Err(Malformed("the header is too long"));
    }
    let Some(rest) = rest.get(..length) else {
        return Ok(None);
    };
    let header = match (command, family) {
        (COMMAND_LOCAL, _) => Header::Local,
        (_, TCP4) => proxied::<4>(rest, |ip| Ipv4Addr::from(ip).into())?,
        (_, TCP6) => proxied::<16>(rest, |ip| Ipv6Addr::from(ip).into())?,
        (_, family) if family >> 4 <= 3 && family & 0x0f <= 2 => Header::Local,
        _ => return Err(Malformed("unknown address family or transport")),
    };
    Ok(Some((header, FIXED + length)))
}

fn proxied<const N: usize>(
    rest: &[u8],
    ip: fn([u8; N]) -> std::net::IpAddr,
) -> Result<Header, Malformed> {
    let short = Malformed("the addresses are cut short");
    let (source, rest) = rest.split_first_chunk::<N>().ok_or(short)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(short)?;
    let (source_port, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (destination_port, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (authority, ssl) = read_tlvs(rest)?;
    Ok(Header::Proxied {
        source: SocketAddr::new(ip(*source), u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new(ip(*destination), u16::from_be_bytes(*destination_port)),
        authority,
        ssl,
    })
}

/// Walks the type-length-value list; types that are not used here are passed over.
fn read_tlvs(mut rest: &[u8]) -> Result<(Option<Box<str>>, bool), Malformed> {
    let mut authority = None;
    let mut ssl = false;
    while let Some((&[kind, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((value, tail)) = tail.split_at_checked(length) else {
            return Err(Malformed("a TLV is cut short"));
        };
        match kind {
            TYPE_AUTHORITY => authority = std::str::from_utf8(value).ok().map(Into::into),
            TYPE_SSL => ssl = value.first().is_some_and(|client| client & CLIENT_SSL != 0),
            _ => {}
        }
        rest = tail;
    }
    if rest.is_empty() {
        Ok((authority, ssl))
    } else {
        Err(Malformed("a TLV is cut short"))
    }
}
