//! What a plugin sees of one request, and what it can change.

use std::any::Any;
use std::borrow::Cow;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http1::{Headers, Known, RequestHead};
use router::Captures;
use serde_json::Value;
use uuid::Uuid;

use crate::{Consumer, Credential, HeaderEdit, HeaderValue, Turn};

/// One request on its way through the plugins of its chain.
///
/// The head is the client's request as it will go to the upstream: what a plugin edits there, later plugins and the
/// upstream see. The path of the head stays what the client sent; where the request goes is [`Exchange::target`].
pub struct Exchange<'a> {
    /// The request's head, edits included.
    pub head: &'a mut RequestHead,
    /// Path and query for the upstream. Empty in `rewrite`.
    pub target: &'a mut Vec<u8>,
    /// What is known of the client and its connection.
    pub connection: Connection<'a>,
    /// Where the request goes; nothing in `rewrite` and for requests that no route took.
    pub matched: Matched<'a>,
    /// Whether the answer is one that the upstream gave just now; it is settled from `header_filter` on.
    pub from_upstream: bool,
    /// What plugins have found out and decided so far.
    pub work: &'a mut Work,
}

/// The client and its connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// Who the client is, according to those whom the gateway trusts to say; `None` over a unix socket.
    pub client: Option<SocketAddr>,
    /// Who connected.
    pub peer: Option<SocketAddr>,
    /// The address that the client connected to.
    pub local: Option<SocketAddr>,
    /// The number of the connection among those of the node.
    pub number: u64,
    /// How many requests have come over the connection, this one included.
    pub requests: u64,
    /// The port that the client meant, as seen from outside.
    pub port: u16,
    /// Whether who connected may speak for the client.
    pub trusted: bool,
    pub http2: bool,
    /// The TLS session, if there is one.
    pub tls: Option<Tls<'a>>,
    /// The scheme that the client used, as far as is known: `http` or `https`.
    pub forwarded_proto: &'a str,
    /// The host that the client asked for, without port, in lower case.
    pub host: &'a str,
    /// The id of the request, as in `X-Kong-Request-Id`.
    pub request_id: &'a str,
    /// When the request's head was complete.
    pub started: Instant,
}

/// A TLS session with a client.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// Such as `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite by its OpenSSL name.
    pub cipher: &'a str,
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// The certificates that the client showed, in DER, the leaf first; none if it showed none.
    pub client_certificates: &'a [Vec<u8>],
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Matched<'a> {
    pub route: Option<Entity<'a>>,
    pub service: Option<Entity<'a>>,
    /// The host of the service's record, by which services without a name are known.
    pub service_host: Option<&'a str>,
    /// The first of the route's paths.
    pub route_path: Option<&'a str>,
    /// What the route's regular expressions caught.
    pub captures: Option<&'a Captures>,
    /// The part of the path that the route takes away. For gRPC upstreams it stands in the target nevertheless.
    pub prefix: Option<&'a [u8]>,
}

/// An entity by its names.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    pub id: Uuid,
    pub name: Option<&'a str>,
}

/// What the plugins of a chain have worked out for one exchange; it lives from the first phase to the last.
#[derive(Default)]
pub struct Work {
    /// Who was recognised.
    pub consumer: Option<Arc<Consumer>>,
    /// By what.
    pub credential: Option<Arc<Credential>>,
    /// Groups that an authentication gave, for plugins that decide by group.
    pub groups: Option<Vec<Box<str>>>,
    /// The request's body, if a plugin of the chain needs it; replaced by whoever changes it.
    pub body: Option<Bytes>,
    /// How long the body is that the client sent, if a plugin of the chain needs it; it may be too long for `body`.
    pub body_length: u64,
    /// How long the handler waited for another server that it asked in the upstream's place, and whose answer it gives.
    pub waited: Option<Duration>,
    /// Whether the client gets no body with the upstream's answer; said in `header_filter`, by a handler that has the
    /// phase `body_filter` as well.
    pub drops_body: bool,
    /// Whether the upstream gets another body than the client sent.
    pub body_changed: bool,
    /// Where the request goes instead of where the service says.
    pub upstream: Upstream,
    /// Edits of the answer's head that were decided early; they are made before `header_filter`.
    pub answer_headers: Vec<HeaderEdit>,
    /// The trailers of the upstream's answer, when `body_filter` gets the last piece; what stands here afterwards is sent.
    pub trailers: Option<Box<Headers>>,
    /// Edits of the log entry, in the order in which they are made.
    pub log_edits: Vec<LogEdit>,
    /// The turns of plugins so far, if a handler of the chain needs them.
    pub turns: Vec<Turn>,
    /// Whether a handler has found in `header_filter` that its `body_filter` changes how long the body is, as
    /// [`Needs::changes_length`](crate::Needs::changes_length) says of all answers.
    pub answer_length_changes: bool,
    /// The handlers that want no turn in `response`.
    piecewise: Vec<usize>,
    states: Vec<(usize, Box<dyn Any>)>,
    current: usize,
}

/// Overrides of where a request goes; whatever is `None` is as the service says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstream {
    /// `http`, `https`, `grpc` or `grpcs`.
    pub scheme: Option<Box<str>>,
    /// A name, an address, or the name of an upstream entity.
    pub host: Option<Box<str>>,
    pub port: Option<u16>,
    /// The value of `Host`.
    pub host_header: Option<Box<str>>,
}

/// One edit of the log entry.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEdit {
    /// The member, with dots between the names on the way to it.
    pub path: Cow<'static, str>,
    /// Its value; `None` removes it.
    pub value: Option<Value>,
    pub mode: LogMode,
}

/// When an edit of the log entry is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogMode {
    Always,
    /// Only if the member is not there.
    Add,
    /// Only if the member is there.
    Replace,
}

impl Exchange<'_> {
    /// The client's address, as the trusted proxies in front say; `None` over a unix socket.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.connection.client.map(|address| address.ip())
    }

    /// The request's body; empty if there is none, or if no plugin of the chain asked for it.
    pub fn body(&self) -> &[u8] {
        self.work.body.as_deref().unwrap_or_default()
    }

    /// Gives the upstream another body.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.work.body = Some(body.into());
        self.work.body_changed = true;
    }

    /// Sets a header of the answer, whoever makes it.
    pub fn set_answer_header(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Vec<u8>>,
    ) {
        let edit = HeaderEdit::Set(name.into(), value.into());
        self.work.answer_headers.push(edit);
    }

    /// As [`Exchange::set_answer_header`], for a name with a number.
    ///
    /// Perf: neither name nor value is copied to the heap (bench case "rate-limiting, local").
    pub fn set_known_answer_header(&mut self, name: Known, value: HeaderValue) {
        let edit = HeaderEdit::SetKnown(name, value);
        self.work.answer_headers.push(edit);
    }

    /// What the calling handler keeps of this exchange; made when it is asked for first.
    pub fn state<T: Default + 'static>(&mut self) -> &mut T {
        self.work.state()
    }

    /// Replaces the path of the target and keeps its query. What cannot stand in a path is percent-encoded; what is
    /// encoded stays as it is.
    pub fn set_path(&mut self, path: &[u8]) {
        let query = self.query().to_vec();
        self.target.clear();
        for byte in path {
            match byte {
                b'"' | b'#' | b'<' | b'>' | b'?' => self.push_encoded(*byte),
                b'!'..=b'~' => self.target.push(*byte),
                _ => self.push_encoded(*byte),
            }
        }
        self.set_query(&query);
    }

    fn push_encoded(&mut self, byte: u8) {
        self.target
            .extend_from_slice(percent_encoding::percent_encode_byte(byte).as_bytes());
    }

    /// Replaces the query of the target; an empty one takes the question mark with it.
    pub fn set_query(&mut self, query: &[u8]) {
        let path = self.target.iter().position(|byte| *byte == b'?');
        self.target.truncate(path.unwrap_or(self.target.len()));
        if !query.is_empty() {
            self.target.push(b'?');
            self.target.extend_from_slice(query);
        }
    }

    /// The query of the target, without its question mark.
    pub fn query(&self) -> &[u8] {
        let mark = self.target.iter().position(|byte| *byte == b'?');
        mark.and_then(|mark| self.target.get(mark + 1..))
            .unwrap_or_default()
    }
}

impl Work {
    /// The proxy says whose turn it is, so that each handler of a chain has a state of its own.
    pub fn enter(&mut self, handler: usize) {
        self.current = handler;
    }

    /// The handler whose turn it is has the phase `response`, but wants no turn in it for this exchange: if no other
    /// handler wants one, the answer is passed on piece by piece. Said in `access`.
    pub fn skip_response(&mut self) {
        self.piecewise.push(self.current);
    }

    /// Whether a handler wants no turn in `response`.
    pub fn skips_response(&self, handler: usize) -> bool {
        self.piecewise.contains(&handler)
    }

    /// The state of the handler whose turn it is.
    pub fn state<T: Default + 'static>(&mut self) -> &mut T {
        self.state_of(self.current)
    }

    /// State of the exchange that all handlers of its chain share; a type is private to the crate that declares it.
    pub fn common_state<T: Default + 'static>(&mut self) -> &mut T {
        /// No handler is at this address.
        const NOBODY: usize = usize::MAX;
        self.state_of(NOBODY)
    }

    fn state_of<T: Default + 'static>(&mut self, current: usize) -> &mut T {
        let is_mine =
            |(handler, state): &(usize, Box<dyn Any>)| *handler == current && state.is::<T>();
        let at = match self.states.iter().position(is_mine) {
            Some(at) => at,
            None => {
                self.states.push((current, Box::<T>::default()));
                self.states.len() - 1
            }
        };
        match self.states[at].1.downcast_mut() {
            Some(state) => state,
            None => unreachable!("the position was found by its type"),
        }
    }
}
