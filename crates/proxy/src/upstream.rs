//! A connection to an HTTP/1 upstream, from the pool or new, and the answer that comes over it.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http1::{BodyDecoder, Decoded, Method, ResponseHead, ResponseParser};
use net::Stream;
use net::connect::Target;
use net::pool::{Pooled, Reusable};

use crate::bypass::Pipes;
use crate::error::Error;
use crate::local::Local;
use crate::upload::closed;
use crate::wire::{self, Outgoing};

/// The most that is moved into a pipe at once; it takes less if its pages are full.
const MOST_SPLICED: usize = 1 << 20;

/// An open connection and what belongs to it from one exchange to the next. Perf: boxed, because it is handed around.
pub(crate) struct Connection {
    stream: Stream,
    parser: ResponseParser,
    target: Rc<Target>,
    /// Whether the last answer had a body that went through a pipe, but for what came with its head.
    long: bool,
}

impl Reusable for Box<Connection> {
    fn is_reusable(&mut self) -> bool {
        self.stream.is_idle_and_open()
    }
}

/// A connection that carries one exchange.
pub(crate) struct Http1Upstream {
    connection: Box<Connection>,
    /// Whether it carried requests before.
    pub reused: bool,
    requests: u64,
    inbox: BytesMut,
}

impl Http1Upstream {
    /// Takes a kept connection to the target, if there is one.
    pub fn kept(worker: &Local, target: &Target) -> Option<Self> {
        let kept = worker.pool.take(target, worker.deadlines.recently())?;
        worker.stats.upstream_reused.add();
        Some(Self::with(kept, true))
    }

    /// Opens a connection to the target.
    pub async fn open(worker: &Local, target: &Target, timeout: Duration) -> Result<Self, Error> {
        let opened = Box::new(Connection {
            stream: worker.connector.connect(target, timeout).await?,
            parser: ResponseParser::new(http1::Limits::for_upstream()),
            target: Rc::new(target.clone()),
            long: false,
        });
        worker.stats.upstream_opened.add();
        Ok(Self::with(Pooled::new(opened), false))
    }

    fn with(pooled: Pooled<Box<Connection>>, reused: bool) -> Self {
        Self {
            connection: pooled.connection,
            reused,
            requests: pooled.requests,
            inbox: BytesMut::new(),
        }
    }

    /// Where the request is written.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.connection.stream
    }

    /// The next head of the answer.
    pub fn poll_head(
        &mut self,
        worker: &Local,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Error>> {
        if self.inbox.capacity() == 0 {
            // Perf: the next answer, whosever it is, is read into a buffer that is still cached (bench case "GET, 64 KiB
            // answer"), and a slow upstream holds no memory.
            ready!(self.connection.stream.poll_readable(cx)).map_err(Error::UpstreamClosed)?;
            self.inbox = worker.buffers.take_body();
        }
        loop {
            if !self.inbox.is_empty()
                && let Some(head) = self
                    .connection
                    .parser
                    .parse(&mut self.inbox, &worker.buffers)
                    .map_err(Error::Response)?
            {
                return Poll::Ready(Ok(head));
            }
            let Connection { stream, long, .. } = &mut *self.connection;
            let read = if *long && self.inbox.is_empty() {
                // Perf: what is left of it does not have to be copied.
                wire::poll_read_most(stream, cx, &mut self.inbox, http1::HEAD_BUFFER)
            } else {
                wire::poll_read(stream, cx, &mut self.inbox)
            };
            if read.is_pending() && self.inbox.is_empty() {
                worker.buffers.give(std::mem::take(&mut self.inbox));
            }
            let read = ready!(read).map_err(Error::UpstreamClosed)?;
            if read == 0 {
                // A head that broke off is as good as none.
                return Poll::Ready(Err(Error::UpstreamClosed(closed())));
            }
        }
    }

    /// Whether part of an answer is there.
    pub fn has_begun_to_answer(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Begins the body that follows `head`.
    pub fn body(self, head: &ResponseHead, method: &Method) -> Http1Body {
        Http1Body {
            decoder: head.body(method, &http1::Limits::for_upstream()),
            reusable: head.keep_alive(method),
            upstream: self,
        }
    }

    /// The connection and what arrived behind the head, for a tunnel.
    pub fn into_parts(self) -> (Stream, BytesMut) {
        (self.connection.stream, self.inbox)
    }
}

/// The body of an upstream's answer.
pub(crate) struct Http1Body {
    upstream: Http1Upstream,
    decoder: BodyDecoder,
    /// Whether the upstream will take another request.
    reusable: bool,
}

impl Http1Body {
    /// Forbids another request over the connection: the upstream did not read this one to its end.
    pub fn spoil(&mut self) {
        self.reusable = false;
    }

    /// The next piece that has arrived; `Some(None)` is the end, `None` asks for a read.
    pub fn arrived(&mut self) -> Result<Option<Option<Bytes>>, Error> {
        let inbox = &mut self.upstream.inbox;
        Ok(match self.decoder.decode(inbox).map_err(Error::Response)? {
            Decoded::Data { skip, len } => {
                inbox.advance(skip);
                Some(Some(inbox.split_to(len).freeze()))
            }
            Decoded::More { skip } => {
                inbox.advance(skip);
                None
            }
            Decoded::End { skip } => {
                inbox.advance(skip);
                Some(None)
            }
        })
    }

    /// Copies a body of known length to the end of `out` and gives its length, if all of it has arrived and it is no longer
    /// than `most`.
    pub fn copy_whole(&mut self, most: usize, out: &mut BytesMut) -> Result<Option<usize>, Error> {
        let inbox = &mut self.upstream.inbox;
        let whole = self.decoder.remaining().and_then(|left| {
            let left = usize::try_from(left).ok().filter(|left| *left <= most)?;
            inbox.get(..left)
        });
        let Some(whole) = whole else {
            return Ok(None);
        };
        let length = whole.len();
        out.extend_from_slice(whole);
        inbox.advance(length);
        self.decoder.pass(length as u64).map_err(Error::Response)?;
        Ok(Some(length))
    }

    /// Reads more; false when the connection ended and with it the body.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let upstream = &mut self.upstream;
        let read = ready!(wire::poll_read(
            &mut upstream.connection.stream,
            cx,
            &mut upstream.inbox
        ))
        .map_err(|_| Error::Truncated)?;
        if read == 0 {
            self.reusable = false;
            self.decoder.finish().map_err(|_| Error::Truncated)?;
        }
        Poll::Ready(Ok(read > 0))
    }

    /// How much is to come, if that is known.
    pub fn left(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    /// How much is to come, if that is known and the connection is one that a pipe can be filled from.
    pub fn spliceable(&self) -> Option<u64> {
        let connection = &self.upstream.connection;
        let left = self.decoder.remaining()?;
        connection.stream.is_spliceable().then_some(left)
    }

    /// Says whether the next answer over the connection is expected to go through a pipe.
    pub fn expect_long(&mut self, long: bool) {
        self.upstream.connection.long = long;
    }

    /// Moves more of a body of known length into the pipe of `out`, when all that was read is taken; gives how much it
    /// was. `None` asks for a read.
    pub fn poll_fill_pipe(
        &mut self,
        out: &mut Outgoing,
        pipes: &Rc<Pipes>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<usize, Error>>> {
        let left = self.decoder.remaining().unwrap_or(0);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(MOST_SPLICED);
        let stream = &self.upstream.connection.stream;
        let Some(filled) = ready!(out.poll_fill_pipe(pipes, stream, most, cx)) else {
            return Poll::Ready(None);
        };
        let filled = filled.map_err(|_| Error::Truncated).and_then(|filled| {
            if filled == 0 {
                self.reusable = false;
                return Err(Error::Truncated);
            }
            let passed = self.decoder.pass(filled as u64);
            passed.map_err(Error::Response).map(|()| filled)
        });
        Poll::Ready(Some(filled))
    }

    /// Whether the piece that was taken last was the end of the body, and no trailers can follow.
    pub fn is_done(&self) -> bool {
        self.decoder.remaining() == Some(0)
    }

    /// Trailers, after the end.
    pub fn take_trailers(&mut self) -> Option<http1::Headers> {
        self.decoder.take_trailers()
    }

    /// Gives the connection back to the pool if it can be used again; drops it otherwise.
    pub fn finish(self, worker: &Local) {
        let Http1Upstream {
            connection,
            requests,
            inbox,
            ..
        } = self.upstream;
        let clean = inbox.is_empty();
        worker.buffers.give(inbox);
        if self.reusable && clean && self.decoder.is_done() {
            let target = connection.target.clone();
            let kept = Pooled {
                connection,
                requests,
            };
            let now = worker.deadlines.recently();
            worker.pool.put(&target, kept, now);
        }
    }
}
