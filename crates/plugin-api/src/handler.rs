//! What a plugin does: one [`Handler`] per configured record, called in the phases that it says it has work in.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http1::ResponseHead;

use crate::{Exchange, Handshake, Reply, Summary};

/// A plugin with one configuration.
///
/// A handler is made once per plugin record (see [`Build`](crate::Build)), shared by all workers, and called for every
/// request whose chain it is in. It keeps what it knows of one exchange in [`Exchange::state`], never in itself.
///
/// The phases, in the order of a request's life. A chain calls a handler only in the phases that [`Handler::needs`] names.
///
/// | phase | when | may |
/// | --- | --- | --- |
/// | `certificate` | a TLS client has asked for a name; only plugins that apply to all requests | choose the certificate, ask for one, refuse |
/// | `rewrite` | before a route is sought; only plugins that apply to all requests | edit the request, answer |
/// | `access` | the route is known, nothing was sent to the upstream | edit the request, say who the consumer is, answer |
/// | `response` | the whole upstream answer is held | edit head and body, answer otherwise |
/// | `header_filter` | before the answer's head goes to the client, whoever made the answer | edit the head |
/// | `body_filter` | for each piece of the answer's body | edit the piece, and the trailers with the last one |
/// | `log` | after the last byte | look |
///
/// An answer that a plugin gives in `access` ends that phase for the plugins behind it; the later phases run for the
/// whole chain nevertheless, as they do for answers of an upstream.
///
/// A [`Failure`], like a panic, ends the one request: the client gets 500, the failure is logged with the plugin's name.
/// In `certificate` it ends the connection.
pub trait Handler: Send + Sync + 'static {
    /// The phases with work to do, and what they need of bodies. Asked once, when the chain is compiled.
    fn needs(&self) -> Needs;

    /// During a TLS handshake, before the client is shown a certificate. It may run on a thread that serves no requests,
    /// and must not block: what is not at hand is fetched in the background, for the next client.
    fn certificate(&self, _handshake: &mut Handshake<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// Before the route is sought.
    fn rewrite<'a>(&'a self, _exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::next()
    }

    /// Before the upstream is asked.
    fn access<'a>(&'a self, _exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::next()
    }

    /// With the upstream's answer held as a whole. An answer of the plugin replaces it.
    /// [`Work::skip_response`](crate::Work::skip_response) does without, for an answer that comes bit by bit.
    fn response<'a>(
        &'a self,
        _exchange: &'a mut Exchange<'_>,
        _head: &'a mut ResponseHead,
        _body: &'a mut Bytes,
    ) -> Step<'a> {
        Step::next()
    }

    /// Before the head of the answer is sent. The framing headers are made later, from the body that there is.
    fn header_filter(
        &self,
        _exchange: &mut Exchange<'_>,
        _head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// For each piece of the body; the last one, perhaps empty, comes with `last`.
    fn body_filter(
        &self,
        _exchange: &mut Exchange<'_>,
        _piece: &mut Bytes,
        _last: bool,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// After the exchange. It must not block: what takes longer is handed to [`Background`](crate::Background).
    fn log(&self, _exchange: &mut Exchange<'_>, _summary: &Summary<'_>) {}
}

/// The phases in which a handler is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    Certificate,
    Rewrite,
    Access,
    Response,
    HeaderFilter,
    BodyFilter,
    Log,
}

impl Phase {
    /// All of them, in the order of a request's life.
    pub const ALL: [Self; 7] = [
        Self::Certificate,
        Self::Rewrite,
        Self::Access,
        Self::Response,
        Self::HeaderFilter,
        Self::BodyFilter,
        Self::Log,
    ];

    /// The name that Kong has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Rewrite => "rewrite",
            Self::Access => "access",
            Self::Response => "response",
            Self::HeaderFilter => "header_filter",
            Self::BodyFilter => "body_filter",
            Self::Log => "log",
        }
    }
}

/// A set of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    /// The set of these phases.
    pub const fn of(phases: &[Phase]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < phases.len() {
            bits |= 1 << phases[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether the set holds the phase.
    pub const fn contains(self, phase: Phase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }

    /// The phases of either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a handler needs of the proxy; it depends on the configuration, and costs only those who need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The phases to be called in.
    pub phases: Phases,
    /// The request body is read whole before `access`, and [`Exchange::body`] gives it.
    pub request_body: bool,
    /// The same, but only for a body of a kind that [`BodyArguments`](crate::BodyArguments) can take apart.
    pub body_arguments: bool,
    /// As `request_body`, but only for a body whose length is not announced.
    pub unannounced_body: bool,
    /// With `request_body`: a body of up to so many bytes is held, also if that is longer than the setting for what is
    /// kept in memory.
    pub held_body: u64,
    /// `body_filter` changes how long the answer's body is, so that its length cannot be told in advance.
    pub changes_length: bool,
    /// `log` looks at the head of the answer.
    pub answer_head: bool,
    /// `log` looks at the turns of plugins, in [`Work::turns`](crate::Work::turns).
    pub turns: bool,
}

impl Needs {
    /// To be called in these phases, and nothing else.
    pub const fn phases(phases: &[Phase]) -> Self {
        Self {
            phases: Phases::of(phases),
            request_body: false,
            body_arguments: false,
            unannounced_body: false,
            held_body: 0,
            changes_length: false,
            answer_head: false,
            turns: false,
        }
    }

    /// What two handlers need together.
    pub const fn union(self, other: Self) -> Self {
        Self {
            phases: self.phases.union(other.phases),
            request_body: self.request_body || other.request_body,
            body_arguments: self.body_arguments || other.body_arguments,
            unannounced_body: self.unannounced_body || other.unannounced_body,
            held_body: if self.held_body > other.held_body {
                self.held_body
            } else {
                other.held_body
            },
            changes_length: self.changes_length || other.changes_length,
            answer_head: self.answer_head || other.answer_head,
            turns: self.turns || other.turns,
        }
    }
}

/// How a request goes on after a handler.
#[derive(Debug)]
pub enum Flow {
    /// To the next handler.
    Next,
    /// With this answer; nothing is sent upstream.
    Answer(Box<Reply>),
}

/// What a handler says.
pub type Outcome = Result<Flow, Failure>;

/// An [`Outcome`] that is there, or one to wait for.
///
/// Perf: a handler that has nothing to wait for allocates no future.
pub enum Step<'a> {
    Now(Outcome),
    /// The future runs on the worker of the request; it need not be [`Send`].
    Later(Pin<Box<dyn Future<Output = Outcome> + 'a>>),
}

impl<'a> Step<'a> {
    /// On to the next handler.
    pub fn next() -> Self {
        Self::Now(Ok(Flow::Next))
    }

    /// An answer instead of the upstream's.
    pub fn answer(reply: Reply) -> Self {
        Self::Now(Ok(Flow::Answer(Box::new(reply))))
    }

    /// Something to wait for.
    pub fn later(future: impl Future<Output = Outcome> + 'a) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Waits if there is something to wait for.
    pub async fn outcome(self) -> Outcome {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(future) => future.await,
        }
    }
}

impl From<Reply> for Flow {
    fn from(reply: Reply) -> Self {
        Self::Answer(Box::new(reply))
    }
}

/// A plugin could not do its work. The text is for the log; the client learns only that something went wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// With the reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl From<http1::Error> for Failure {
    fn from(error: http1::Error) -> Self {
        Self(format!("a header that cannot be written: {error}"))
    }
}
