//! Response heads: reading, asking, editing, writing.

use bytes::{Bytes, BytesMut};

use crate::body::{BodyDecoder, Framing};
use crate::buffer::BufferPool;
use crate::connection::{Connection, FRAMING, Options, strip_nominated};
use crate::error::Error;
use crate::headers::{Headers, Index};
use crate::known::Known;
use crate::lines::{Cursor, Limits, Next, Span};
use crate::method::Method;
use crate::own::OwnLines;
use crate::reason::standard_reason;
use crate::token::{TOKEN, decimal, is_value};
use crate::version::Version;
use crate::write::write_framing;

/// Reads response heads out of a buffer that grows; the upstream's side of [`RequestParser`](crate::RequestParser).
pub struct ResponseParser {
    limits: Limits,
    cursor: Cursor,
    line: Option<StatusLine>,
    index: Option<Box<Index>>,
    facts: Facts,
}

#[derive(Debug, Clone, Copy)]
struct StatusLine {
    version: Version,
    status: u16,
    reason: (usize, usize),
}

#[derive(Debug, Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    options: Options,
}

impl ResponseParser {
    /// A parser for the responses of one connection.
    pub fn new(limits: Limits) -> ResponseParser {
        ResponseParser {
            limits,
            cursor: Cursor::default(),
            line: None,
            index: None,
            facts: Facts::default(),
        }
    }

    /// Takes the next head off the front of `input`, or gives nothing and leaves `input` as it is when more is needed.
    ///
    /// An interim response (1xx) is a head like any other: the caller forwards or drops it and parses again. After an
    /// error neither the parser nor the connection can be used again; the client gets 502.
    pub fn parse(
        &mut self,
        input: &mut BytesMut,
        pool: &BufferPool,
    ) -> Result<Option<ResponseHead>, Error> {
        if self.line.is_none() {
            match self.cursor.next_line(input, &self.limits) {
                Next::Line(span) => self.line = Some(parse_status_line(input, span)?),
                Next::Partial => return Ok(None),
                Next::TooLong => return Err(Error::StatusLine),
            }
        }
        let index = self.index.get_or_insert_with(|| pool.take_index());
        let facts = &mut self.facts;
        let note = |known, raw: &[u8], value: &[u8]| facts.read(known, raw, value);
        if !self
            .cursor
            .read_headers(input, &TOKEN, &self.limits, index, note)?
        {
            return Ok(None);
        }
        self.finish(input, pool).map(Some)
    }

    fn finish(&mut self, input: &mut BytesMut, pool: &BufferPool) -> Result<ResponseHead, Error> {
        let length = self.cursor.at;
        let line = self.line.take().ok_or(Error::StatusLine)?;
        let facts = std::mem::take(&mut self.facts);
        if facts.chunked && (facts.length.is_some() || line.version == Version::Http10) {
            return Err(Error::TransferEncoding);
        }
        let index = self.index.take().unwrap_or_else(|| pool.take_index());
        let block = input.split_to(length).freeze();
        self.cursor = Cursor::default();
        let framing = match (facts.chunked, facts.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        Ok(ResponseHead {
            headers: Headers::from_parts(block, index),
            version: line.version,
            status: line.status,
            reason: Reason::Received(line.reason),
            framing,
            options: facts.options,
        })
    }
}

/// Reads `HTTP/1.x SSS reason`; the reason and the blank before it may be missing.
fn parse_status_line(input: &[u8], span: Span) -> Result<StatusLine, Error> {
    let line = &input[span.start..span.end];
    let (version, rest) = match line.split_at_checked(8) {
        Some((b"HTTP/1.1", rest)) => (Version::Http11, rest),
        Some((version, rest)) => (
            Version::parse(version).map_err(|_| Error::StatusLine)?,
            rest,
        ),
        None => return Err(Error::StatusLine),
    };
    let &[b' ', first, second, third, ref reason @ ..] = rest else {
        return Err(Error::StatusLine);
    };
    let digits = [first, second, third];
    if !is_value(reason)
        || !digits.iter().all(u8::is_ascii_digit)
        || first == b'0'
        || !matches!(reason.first(), None | Some(b' '))
    {
        return Err(Error::StatusLine);
    }
    let status = digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let reason_start = span.end - reason.len() + usize::from(!reason.is_empty());
    Ok(StatusLine {
        version,
        status,
        reason: (reason_start, span.end),
    })
}

impl Facts {
    /// Notes what a header line says about framing and connection.
    ///
    /// A repeated `Content-Length` is refused even if both say the same, and so is every coding but `chunked`, as in nginx.
    fn read(&mut self, known: Known, raw: &[u8], value: &[u8]) -> Result<(), Error> {
        match known {
            Known::ContentLength => {
                if self.length.is_some() || raw.contains(&b'\t') {
                    return Err(Error::ContentLength);
                }
                self.length = Some(decimal(value).ok_or(Error::ContentLength)?);
            }
            Known::TransferEncoding => {
                if self.chunked {
                    return Err(Error::TransferEncoding);
                }
                if !value.eq_ignore_ascii_case(b"chunked") || raw.contains(&b'\t') {
                    return Err(Error::UnknownCoding);
                }
                self.chunked = true;
            }
            Known::Connection => self.options.read(value),
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Reason {
    /// A range of the received block.
    Received((usize, usize)),
    /// What usually goes with the status.
    Standard,
}

/// A response head: what was received, and edits.
pub struct ResponseHead {
    /// The header lines.
    pub headers: Headers,
    version: Version,
    status: u16,
    reason: Reason,
    framing: Framing,
    options: Options,
}

impl ResponseHead {
    /// A head without headers, for a response that the gateway makes or that did not come in over HTTP/1.
    pub fn new(status: u16, framing: Framing) -> ResponseHead {
        ResponseHead {
            headers: Headers::new(),
            version: Version::Http11,
            status: status.clamp(100, 999),
            reason: Reason::Standard,
            framing,
            options: Options::default(),
        }
    }

    /// The status, from 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Changes the status and takes the reason that usually goes with it.
    pub fn set_status(&mut self, status: u16) {
        self.status = status.clamp(100, 999);
        self.reason = Reason::Standard;
    }

    /// The reason phrase as it came, which may be empty.
    pub fn reason(&self) -> &[u8] {
        match self.reason {
            Reason::Received((start, end)) => {
                self.headers.block().get(start..end).unwrap_or_default()
            }
            Reason::Standard => standard_reason(self.status).as_bytes(),
        }
    }

    /// The version that the upstream speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether this is an interim response (100 to 199 but 101), which the final one still follows.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// Whether a body can follow the head at all, given the method of the request (RFC 9112 section 6.3).
    pub fn has_body(&self, method: &Method) -> bool {
        !(*method == Method::Head || self.status < 200 || self.status == 204 || self.status == 304)
    }

    /// How the body is framed that follows the head.
    pub fn framing(&self, method: &Method) -> Framing {
        if self.has_body(method) {
            self.framing
        } else {
            Framing::None
        }
    }

    /// What the framing headers say whether or not a body follows; a response without a body is forwarded with this, so
    /// that `HEAD` and 304 tell the length that `GET` would have.
    pub fn announced(&self, method: &Method) -> Framing {
        match self.framing {
            Framing::Length(length) if self.status >= 200 => Framing::Length(length),
            Framing::Chunked
                if self.status >= 200 && (*method == Method::Head || self.has_body(method)) =>
            {
                Framing::Chunked
            }
            _ => Framing::None,
        }
    }

    /// The decoder for the body.
    pub fn body(&self, method: &Method, limits: &Limits) -> BodyDecoder {
        BodyDecoder::new(self.framing(method), limits)
    }

    /// Whether the upstream can take another request over the connection once the body has been read to its end.
    pub fn keep_alive(&self, method: &Method) -> bool {
        let persistent = match self.version {
            Version::Http10 => self.options.keep_alive && !self.options.close,
            _ => !self.options.close,
        };
        persistent && self.status != 101 && self.framing(method) != Framing::UntilClose
    }

    /// The protocol that the upstream changed to with 101.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.headers
            .get(Known::Upgrade)
            .filter(|_| self.status == 101)
    }

    /// Removes the headers that `Connection` nominates. The framing headers need not be removed.
    pub fn strip_hop_by_hop(&mut self) {
        if self.options.nominates {
            strip_nominated(&mut self.headers);
        }
    }

    /// Appends the head to `out` as HTTP/1.1, with framing headers that fit `framing` and `connection`.
    ///
    /// The body that follows has to be sent with an encoder of the same framing.
    pub fn write(
        &self,
        framing: Framing,
        connection: Connection<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        self.write_with(&OwnLines::new(), framing, connection, out)
    }

    /// As [`ResponseHead::write`], with `own` lines behind all others and in place of those with the same names.
    pub fn write_with(
        &self,
        own: &OwnLines,
        framing: Framing,
        connection: Connection<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let reason = self.reason();
        out.reserve(self.headers.written_len() + own.as_bytes().len() + reason.len() + 256);
        let status = self.status;
        let digit = |value: u16| b'0' + (value % 10) as u8;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
        out.extend_from_slice(reason);
        out.extend_from_slice(b"\r\n");
        self.headers.write(FRAMING | own.names(), out);
        out.extend_from_slice(own.as_bytes());
        write_framing(framing, connection, out)
    }

    /// Gives the memory of the head back to the pool.
    pub fn recycle(self, pool: &BufferPool) {
        pool.give_index(self.headers.into_index());
    }

    /// Keeps the received bytes in memory of its own, so that the buffer that they were read into is free.
    pub fn detach(&mut self) {
        self.headers.detach();
    }

    /// The received bytes of the head, for a log.
    pub fn received(&self) -> &Bytes {
        self.headers.block()
    }
}

impl std::fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut head = f.debug_struct("ResponseHead");
        head.field("status", &self.status)
            .field("framing", &self.framing)
            .field("headers", &self.headers)
            .finish()
    }
}
