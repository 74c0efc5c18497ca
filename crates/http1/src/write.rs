//! The lines that are regenerated for every head that is written.

use bytes::BytesMut;

use crate::body::Framing;
use crate::connection::Connection;
use crate::error::Error;
use crate::token::{is_value, write_decimal};

/// Writes the framing headers, the connection headers and the empty line.
pub(crate) fn write_framing(
    framing: Framing,
    connection: Connection<'_>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            write_decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    match connection {
        Connection::Unsaid => out.extend_from_slice(b"\r\n"),
        Connection::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        Connection::Close => out.extend_from_slice(b"Connection: close\r\n\r\n"),
        Connection::Upgrade(protocol) => {
            write_upgrade(b"Connection: upgrade\r\nUpgrade: ", protocol, out)?
        }
        Connection::KeepAliveUpgrade(protocol) => {
            write_upgrade(
                b"Connection: keep-alive, Upgrade\r\nUpgrade: ",
                protocol,
                out,
            )?;
        }
    }
    Ok(())
}

fn write_upgrade(start: &[u8], protocol: &[u8], out: &mut BytesMut) -> Result<(), Error> {
    if !is_value(protocol) {
        return Err(Error::InvalidValue);
    }
    out.extend_from_slice(start);
    out.extend_from_slice(protocol);
    out.extend_from_slice(b"\r\n\r\n");
    Ok(())
}
