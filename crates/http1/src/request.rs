//! Request heads: reading, asking, editing, writing.

use bytes::{Bytes, BytesMut};

use crate::body::{BodyDecoder, Framing};
use crate::buffer::BufferPool;
use crate::connection::{Connection, FRAMING, Options, strip_nominated};
use crate::error::Error;
use crate::headers::{Headers, Index};
use crate::host::is_host;
use crate::known::Known;
use crate::lines::{Cursor, Limits, Next, Span};
use crate::method::Method;
use crate::own::OwnLines;
use crate::target::{self, Target};
use crate::token::{PLAIN, decimal, is_target, list};
use crate::version::Version;
use crate::write::write_framing;

/// The headers of a request that are never forwarded; `Expect` is answered here, and `Proxy` would become the
/// environment variable `HTTP_PROXY` in a CGI program.
const NOT_FORWARDED: u64 = FRAMING | Known::Expect.bit() | Known::Proxy.bit();

/// Reads request heads out of a buffer that grows.
///
/// The parser remembers how far it has come, so that a head that arrives byte by byte costs no more than one that
/// arrives at once, and gives the same result.
pub struct RequestParser {
    limits: Limits,
    cursor: Cursor,
    skipped: usize,
    line: Option<RequestLine>,
    index: Option<Box<Index>>,
    facts: Facts,
}

#[derive(Debug)]
struct RequestLine {
    method: Method,
    target: Target,
    version: Version,
}

/// What the header lines say about framing and connection.
#[derive(Debug, Default)]
struct Facts {
    host: bool,
    length: Option<u64>,
    coding: Option<Coding>,
    options: Options,
    expects_continue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Unknown,
}

impl RequestParser {
    /// A parser for the requests of one connection.
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser {
            limits,
            cursor: Cursor::default(),
            skipped: 0,
            line: None,
            index: None,
            facts: Facts::default(),
        }
    }

    /// Whether nothing of a request has arrived yet: the connection is idle and may be closed without an answer.
    pub fn is_idle(&self, input: &BytesMut) -> bool {
        self.line.is_none() && input.is_empty()
    }

    /// Takes the next head off the front of `input`, or gives nothing and leaves `input` as it is when more is needed.
    ///
    /// Empty lines before a request line are dropped. After an error neither the parser nor the connection can be used
    /// for another request; [`RequestParser::header`] still tells what had been read.
    pub fn parse(
        &mut self,
        input: &mut BytesMut,
        pool: &BufferPool,
    ) -> Result<Option<RequestHead>, Error> {
        if self.line.is_none() && !self.read_request_line(input)? {
            return Ok(None);
        }
        let index = self.index.get_or_insert_with(|| pool.take_index());
        let facts = &mut self.facts;
        let note = |known, raw: &[u8], value: &[u8]| facts.read(known, raw, value);
        if !self
            .cursor
            .read_headers(input, &PLAIN, &self.limits, index, note)?
        {
            return Ok(None);
        }
        self.finish(input, pool).map(Some)
    }

    /// The value of a header of the request that is being read, or that could not be read to its end.
    pub fn header<'a>(&'a self, input: &'a BytesMut, known: Known) -> Option<&'a [u8]> {
        self.index.as_ref()?.peek(input, known)
    }

    /// The method of the request that is being read, or that could not be read to its end.
    pub fn method(&self) -> Option<&Method> {
        self.line.as_ref().map(|line| &line.method)
    }

    fn read_request_line(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        loop {
            let empty = match input.as_ref() {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => break,
            };
            let _ = input.split_to(empty);
            self.cursor = Cursor::default();
            self.skipped += empty;
            if self.skipped > self.limits.line {
                return Err(Error::RequestLine);
            }
        }
        match self.cursor.next_line(input, &self.limits) {
            Next::Line(span) => {
                self.line = Some(parse_request_line(input, span)?);
                Ok(true)
            }
            Next::Partial => Ok(false),
            Next::TooLong => Err(Error::UriTooLong),
        }
    }

    fn finish(&mut self, input: &mut BytesMut, pool: &BufferPool) -> Result<RequestHead, Error> {
        let length = self.cursor.at;
        if let Some(index) = &self.index {
            index.check_single(input)?;
        }
        let line = self.line.take().ok_or(Error::RequestLine)?;
        let facts = std::mem::take(&mut self.facts);
        if !facts.host && line.version != Version::Http10 {
            return Err(Error::Host);
        }
        let framing = facts.framing(line.version)?;
        if matches!(line.method, Method::Connect | Method::Trace) {
            self.line = Some(line);
            return Err(Error::MethodNotAllowed);
        }
        let index = self.index.take().unwrap_or_else(|| pool.take_index());
        let block = input.split_to(length).freeze();
        self.cursor = Cursor::default();
        self.skipped = 0;
        let mut head = RequestHead {
            headers: Headers::from_parts(block, index),
            method: line.method,
            target: line.target,
            version: line.version,
            framing,
            options: facts.options,
            expects_continue: facts.expects_continue,
        };
        head.prefer_authority_of_target()?;
        Ok(head)
    }
}

fn parse_request_line(input: &[u8], span: Span) -> Result<RequestLine, Error> {
    let line = &input[span.start..span.end];
    let method_len = line
        .iter()
        .position(|&byte| byte == b' ')
        .ok_or(Error::RequestLine)?;
    let method = Method::parse(&line[..method_len])?;
    let target_start = span.start + method_len + 1;
    let rest = &input[target_start..span.end];
    let (target_len, version) = match rest.strip_suffix(b" HTTP/1.1") {
        Some(target) => (target.len(), Version::Http11),
        None => {
            let Some(blank) = rest.iter().rposition(|&byte| byte == b' ') else {
                target::parse(input, target_start, span.end)?;
                return Err(Error::Http09);
            };
            (blank, Version::parse(&rest[blank + 1..])?)
        }
    };
    let target = target::parse(input, target_start, target_start + target_len)?;
    Ok(RequestLine {
        method,
        target,
        version,
    })
}

impl Facts {
    /// Notes what a header line says.
    ///
    /// Tabs around the values that frame a message are refused, because some readers take them for blanks and some do not.
    fn read(&mut self, known: Known, raw: &[u8], value: &[u8]) -> Result<(), Error> {
        match known {
            Known::Host => {
                if self.host || !is_host(value) {
                    return Err(Error::Host);
                }
                self.host = true;
            }
            Known::ContentLength => {
                if self.length.is_some() || raw.contains(&b'\t') {
                    return Err(Error::ContentLength);
                }
                self.length = Some(decimal(value).ok_or(Error::ContentLength)?);
            }
            Known::TransferEncoding => {
                if self.coding.is_some() {
                    return Err(Error::TransferEncoding);
                }
                let chunked = value.eq_ignore_ascii_case(b"chunked") && !raw.contains(&b'\t');
                self.coding = Some(if chunked {
                    Coding::Chunked
                } else {
                    Coding::Unknown
                });
            }
            Known::Connection => self.options.read(value),
            Known::Expect => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Error> {
        match (self.coding, self.length) {
            (None, None) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), Some(_)) => Err(Error::TransferEncoding),
            (Some(_), None) if version == Version::Http10 => Err(Error::TransferEncoding),
            (Some(Coding::Unknown), None) => Err(Error::UnknownCoding),
            (Some(Coding::Chunked), None) => Ok(Framing::Chunked),
        }
    }
}

/// A request head: what was received, and edits.
pub struct RequestHead {
    /// The header lines.
    pub headers: Headers,
    method: Method,
    target: Target,
    version: Version,
    framing: Framing,
    options: Options,
    expects_continue: bool,
}

impl RequestHead {
    /// A head that did not come in over HTTP/1: of an HTTP/2 stream, or of a request that the gateway makes.
    ///
    /// `target` has origin form or absolute form; the headers are to be appended. Errors as the parser does.
    pub fn new(method: Method, target: &[u8], framing: Framing) -> Result<RequestHead, Error> {
        let block = Bytes::copy_from_slice(target);
        let target = target::parse(&block, 0, block.len())?;
        let mut head = RequestHead {
            headers: Headers::from_parts(block, Box::default()),
            method,
            target,
            version: Version::Http11,
            framing,
            options: Options::default(),
            expects_continue: false,
        };
        head.prefer_authority_of_target()?;
        Ok(head)
    }

    /// Lets the host of an absolute form win over `Host` (RFC 9112 section 3.2.2).
    fn prefer_authority_of_target(&mut self) -> Result<(), Error> {
        let (start, end) = self.target.authority;
        if start == end {
            return Ok(());
        }
        let authority = self.headers.block().slice(start..end);
        self.headers.set(Known::Host, authority)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Changes the method.
    pub fn set_method(&mut self, method: Method) {
        self.method = method;
    }

    /// The version that the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path as it came, at least `/`, without the query. It may hold bytes outside ASCII.
    pub fn path(&self) -> &[u8] {
        match self.part(self.target.path) {
            [] => b"/",
            path => path,
        }
    }

    /// The query as it came, without its question mark and without a fragment.
    pub fn query(&self) -> Option<&[u8]> {
        self.part(self.target.query).strip_prefix(b"?")
    }

    fn part(&self, (start, end): (usize, usize)) -> &[u8] {
        self.headers.block().get(start..end).unwrap_or_default()
    }

    /// The host that the request is for, with its port: of the target's absolute form or else of `Host`, as long as
    /// nobody sets `Host`. [`host_name`](crate::host_name) and [`host_port`](crate::host_port) take it apart.
    pub fn host(&self) -> Option<&[u8]> {
        self.headers.get(Known::Host)
    }

    /// How many bytes the head had when it came.
    pub fn received_len(&self) -> usize {
        self.headers.block().len()
    }

    /// How the body is framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The decoder for the body.
    pub fn body(&self, limits: &Limits) -> BodyDecoder {
        BodyDecoder::new(self.framing, limits)
    }

    /// Whether the client can send another request over the connection after this one.
    pub fn keep_alive(&self) -> bool {
        match self.version {
            Version::Http10 => self.options.keep_alive && !self.options.close,
            _ => !self.options.close,
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
            && self.version != Version::Http10
            && !matches!(self.framing, Framing::None | Framing::Length(0))
    }

    /// The protocol that the client wants to change to, if `Connection` says so as well.
    pub fn upgrade(&self) -> Option<&[u8]> {
        let wanted = self.options.upgrade && self.version != Version::Http10;
        self.headers
            .get(Known::Upgrade)
            .filter(|value| wanted && !value.is_empty())
    }

    /// Whether the client takes trailers.
    pub fn accepts_trailers(&self) -> bool {
        let mut codings = self.headers.get_all(&Known::Te).flat_map(list);
        self.headers.contains(Known::Te)
            && codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    }

    /// Removes the headers that `Connection` nominates, and `TE` but for `trailers`.
    ///
    /// Call it before anything is added to the head, so that a client can not have the additions removed. Headers that
    /// the proxy or an upstream relies on stay even when they are nominated. The framing headers need not be removed:
    /// [`RequestHead::write`] never forwards them.
    pub fn strip_hop_by_hop(&mut self) -> Result<(), Error> {
        if self.headers.contains(Known::Te) {
            match self.accepts_trailers() {
                true => self.headers.set(Known::Te, "trailers")?,
                false => self.headers.remove(Known::Te),
            }
        }
        if self.options.nominates {
            strip_nominated(&mut self.headers);
        }
        Ok(())
    }

    /// Appends the head to `out`, with framing headers that fit `framing` and `connection`.
    ///
    /// The body that follows has to be sent with an encoder of the same framing. Errors when `target` holds blanks or
    /// control characters, and when there is no `Host`, which only a client of HTTP/1.0 may leave out.
    pub fn write(
        &self,
        target: &[u8],
        framing: Framing,
        connection: Connection<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        self.write_with(&OwnLines::new(), target, framing, connection, out)
    }

    /// As [`RequestHead::write`], with `own` lines before all others and in place of those with the same names.
    pub fn write_with(
        &self,
        own: &OwnLines,
        target: &[u8],
        framing: Framing,
        connection: Connection<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        if !is_target(target) {
            return Err(Error::Target);
        }
        if !own.concerns(Known::Host) && !self.headers.contains(Known::Host) {
            return Err(Error::Host);
        }
        out.reserve(self.headers.written_len() + own.as_bytes().len() + target.len() + 256);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.extend_from_slice(own.as_bytes());
        self.headers.write(NOT_FORWARDED | own.names(), out);
        write_framing(framing, connection, out)
    }

    /// Gives the memory of the head back to the pool.
    pub fn recycle(self, pool: &BufferPool) {
        pool.give_index(self.headers.into_index());
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut head = f.debug_struct("RequestHead");
        head.field("method", &self.method)
            .field("framing", &self.framing)
            .field("headers", &self.headers)
            .finish()
    }
}
