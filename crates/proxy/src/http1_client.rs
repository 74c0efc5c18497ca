//! A client connection that speaks HTTP/1: one request after the other, in the order in which they came.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http1::{BodyDecoder, Decoded, Framing, Known, RequestHead, RequestParser};
use net::Stream;
use net::h2::Sniff;

use crate::client::Client;
use crate::deadline::{Slot, TICK};
use crate::error::Error;
use crate::exchange::{self, Exchange, Fate, Refused};
use crate::local::Local;
use crate::peer::Peer;
use crate::stats::Held;
use crate::wire::{self, Outgoing};

/// The connection, and what has been read from it.
pub(crate) struct Http1Client {
    pub stream: Stream,
    pub slot: Slot,
    /// Bytes that arrived and were not used yet.
    pub inbox: BytesMut,
    parser: RequestParser,
    /// The body of the current request.
    body: BodyDecoder,
    expects_continue: bool,
    worker: Rc<Local>,
}

/// The most of an unwanted body that is taken for the sake of the connection.
const MOST_DRAINED: u64 = 256 << 10;

/// How soon the next request of a busy client comes.
const SOON: Duration = TICK;

/// What came over a connection.
enum Next {
    Request(RequestHead),
    /// The HTTP/2 preface.
    Http2,
    /// Nothing, in the time that it had.
    Nothing,
    /// Nothing more is to be expected, or it is not worth an answer.
    Closed,
    Invalid(http1::Error),
}

/// How it goes on with a client after its requests.
enum After {
    /// It waits for another one.
    Wait,
    /// The connection ends in order.
    Close,
    /// It ends at once.
    Abort,
    /// What came then is no request.
    Refuse(http1::Error),
}

/// Serves a connection until it ends. `sniff` says that it may turn out to speak HTTP/2.
///
/// Perf: not an `async fn`, which would hold the socket twice.
pub(crate) fn serve(
    worker: Rc<Local>,
    stream: Stream,
    peer: Rc<Peer>,
    sniff: bool,
) -> impl Future<Output = ()> {
    let mut client = Http1Client::new(worker, stream);
    let mut requests = 0;
    async move {
        loop {
            let patience = client.patience(requests > 0);
            let after = match client.next(sniff && requests == 0, patience).await {
                // Perf: boxed as all that is rare, so that a waiting connection holds no room for it.
                Next::Request(head) => Box::pin(client.exchange(&peer, head, &mut requests)).await,
                Next::Http2 => return Box::pin(client.become_http2(peer)).await,
                Next::Nothing | Next::Closed => After::Abort,
                Next::Invalid(error) => After::Refuse(error),
            };
            match after {
                After::Wait => {}
                After::Close => return Box::pin(client.linger()).await,
                After::Abort => return,
                After::Refuse(error) => {
                    Box::pin(client.refuse(&peer, error)).await;
                    return Box::pin(client.linger()).await;
                }
            }
        }
    }
}

/// Tells a client that speaks plain HTTP to a port for TLS so, as nginx does, and ends the connection.
pub(crate) async fn turn_away(worker: Rc<Local>, stream: Stream, peer: &Peer) {
    let mut client = Http1Client::new(worker.clone(), stream);
    match client.next(false, client.patience(false)).await {
        Next::Request(head) => {
            let accept = head.headers.get_str(Known::Accept).map(str::to_owned);
            let refused = Refused {
                line: &exchange::request_line(&head, false),
                accept: accept.as_deref(),
                is_head: *head.method() == http1::Method::Head,
            };
            exchange::refuse(&worker, peer, &mut client, Error::PlainHttp, refused).await;
        }
        Next::Invalid(error) => client.refuse(peer, error).await,
        Next::Http2 | Next::Nothing | Next::Closed => return,
    }
    client.linger().await;
}

impl Http1Client {
    fn new(worker: Rc<Local>, stream: Stream) -> Self {
        let limits = worker.published().head_limits();
        Self {
            stream,
            slot: worker.deadlines.slot(),
            inbox: BytesMut::new(),
            parser: RequestParser::new(limits),
            body: BodyDecoder::new(Framing::None, &limits),
            expects_continue: false,
            worker,
        }
    }

    /// Serves a request and those that come soon after it.
    ///
    /// Perf: a client that is busy has one place for all its exchanges, and one that waits has none (bench case "GET, 1 KiB
    /// answer").
    async fn exchange(
        &mut self,
        peer: &Rc<Peer>,
        mut head: RequestHead,
        requests: &mut u64,
    ) -> After {
        loop {
            *requests += 1;
            let mut exchange = Exchange::begin(self.worker.clone(), peer.clone(), head, false);
            let limits = &exchange.published.settings.limits;
            exchange.keep_alive &=
                *requests < limits.keepalive_requests && !self.worker.is_draining();
            let soon = match limits.keepalive_timeout {
                Duration::ZERO => SOON,
                timeout => timeout.min(SOON),
            };
            let fate = exchange.serve(&mut Client::Http1(self)).await;
            exchange.end();
            match fate {
                Fate::KeepAlive => self.release(),
                Fate::Close => return After::Close,
                Fate::Abort => return After::Abort,
            }
            head = match self.next(false, soon).await {
                Next::Request(head) => head,
                Next::Nothing => return After::Wait,
                Next::Http2 | Next::Closed => return After::Abort,
                Next::Invalid(error) => return After::Refuse(error),
            };
        }
    }

    /// How long the client may take to begin a request; a client that is `used` has been waited for a while already.
    fn patience(&self, used: bool) -> Duration {
        let limits = &self.worker.published().settings.limits;
        match limits.keepalive_timeout {
            _ if !used => limits.header_timeout,
            Duration::ZERO => Duration::ZERO,
            timeout => timeout.saturating_sub(SOON).max(Duration::from_millis(1)),
        }
    }

    /// Waits for the next request head, and for its beginning no longer than `patience`.
    async fn next(&mut self, mut sniff: bool, patience: Duration) -> Next {
        let mut left = patience;
        let mut begun: Option<(u64, Held)> = None;
        loop {
            if !self.inbox.is_empty() {
                if sniff {
                    match net::h2::sniff(&self.inbox) {
                        Sniff::Http2 => return Next::Http2,
                        Sniff::NeedMore => {}
                        Sniff::Other => sniff = false,
                    }
                }
                if !sniff {
                    match self.parser.parse(&mut self.inbox, &self.worker.buffers) {
                        Ok(Some(head)) => return Next::Request(head),
                        Ok(None) => {}
                        Err(error) => return Next::Invalid(error),
                    }
                }
                let now = self.worker.deadlines.now();
                let (since, _) = begun.get_or_insert_with(|| {
                    (now, Held::new(&self.worker.stats, |shard| &shard.reading))
                });
                let header_timeout = self.worker.published().settings.limits.header_timeout;
                left = header_timeout.saturating_sub(Duration::from_millis(now - *since));
                if left.is_zero() && !header_timeout.is_zero() {
                    return Next::Closed;
                }
            }
            let Self {
                stream,
                slot,
                inbox,
                worker,
                ..
            } = self;
            match slot
                .poll_within(left, |cx| poll_fill(stream, inbox, worker, cx))
                .await
            {
                Ok(Ok(1..)) => {}
                Err(_) if inbox.is_empty() => return Next::Nothing,
                Ok(Ok(0) | Err(_)) | Err(_) => return Next::Closed,
            }
        }
    }

    /// Gives the read buffer back unless the next request is in it.
    fn release(&mut self) {
        if self.inbox.is_empty() {
            self.worker.buffers.give(std::mem::take(&mut self.inbox));
        }
    }

    /// Begins the body of a request.
    pub fn expect_body(&mut self, head: &RequestHead, limits: &http1::Limits, limit: u64) {
        let body = head.body(limits);
        self.body = if limit == 0 {
            body
        } else {
            body.with_limit(limit)
        };
        self.expects_continue = head.expects_continue();
    }

    /// Trailers of the body, after its end.
    pub fn take_trailers(&mut self) -> Option<http1::Headers> {
        self.body.take_trailers()
    }

    /// The next piece of the body; `None` at its end.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(piece) = self.decode()? {
                return Poll::Ready(Ok(piece));
            }
            let read = wire::poll_read(&mut self.stream, cx, &mut self.inbox);
            if ready!(read).map_err(Error::ClientGone)? == 0 {
                return Poll::Ready(Err(Error::ClientGone(io::ErrorKind::UnexpectedEof.into())));
            }
        }
    }

    /// A piece of the body, or its end (`Some(None)`), that has arrived already.
    pub fn decode(&mut self) -> Result<Option<Option<Bytes>>, Error> {
        let decoded = self.body.decode(&self.inbox).map_err(|error| match error {
            http1::Error::BodyTooLarge => Error::BodyTooLarge,
            error => Error::Request(error),
        })?;
        Ok(match decoded {
            Decoded::Data { skip, len } => {
                self.inbox.advance(skip);
                Some(Some(self.inbox.split_to(len).freeze()))
            }
            Decoded::More { skip } => {
                self.inbox.advance(skip);
                None
            }
            Decoded::End { skip } => {
                self.inbox.advance(skip);
                Some(None)
            }
        })
    }

    /// Ready when the client has gone away. Requests that it sends ahead are kept, up to a bound.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.inbox.len() < http1::HEAD_BUFFER {
            // Perf: nearly always there is nothing, and a read that finds that out costs more.
            if let Err(error) = ready!(self.stream.poll_readable(cx)) {
                return Poll::Ready(error);
            }
            match ready!(wire::poll_read(&mut self.stream, cx, &mut self.inbox)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Tells a client that waits for it to send its body.
    pub async fn send_continue(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.expects_continue) {
            self.write(&mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")])
                .await?;
        }
        Ok(())
    }

    /// Writes what is queued, within the client's time to take it.
    pub async fn write_out(&mut self, out: &mut Outgoing) -> Result<(), Error> {
        let timeout = self.worker.published().settings.limits.send_timeout;
        let Self { stream, slot, .. } = self;
        match slot
            .poll_within(timeout, |cx| out.poll_write(stream, cx))
            .await
        {
            Ok(written) => written.map_err(Error::ClientGone),
            Err(_) => Err(Error::ClientStalled),
        }
    }

    /// Writes pieces in one go, within the client's time to take them.
    pub async fn write(&mut self, parts: &mut [IoSlice<'_>]) -> Result<(), Error> {
        let timeout = self.worker.published().settings.limits.send_timeout;
        let Self { stream, slot, .. } = self;
        match slot
            .within(timeout, pin!(wire::write_all(stream, parts)))
            .await
        {
            Ok(written) => written.map_err(Error::ClientGone),
            Err(_) => Err(Error::ClientStalled),
        }
    }

    /// Whether what is left of the request body may be little enough to be taken and thrown away. It is not if the
    /// client waits to be asked for it: it may then send it or not.
    pub fn can_drain_body(&self) -> bool {
        self.body.is_done()
            || (!self.expects_continue
                && self
                    .body
                    .remaining()
                    .is_none_or(|left| left <= MOST_DRAINED))
    }

    /// Takes what is left of the request body, if that is little, so that the connection can go on.
    pub async fn drain_body(&mut self) -> bool {
        const TIME: Duration = Duration::from_secs(5);
        if self.body.is_done() {
            return true;
        }
        if !self.can_drain_body() {
            return false;
        }
        let slot = self.worker.deadlines.slot();
        let drained = pin!(async {
            let mut drained = 0;
            while drained < MOST_DRAINED {
                match std::future::poll_fn(|cx| self.poll_body(cx)).await {
                    Ok(Some(piece)) => drained += piece.len() as u64,
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        });
        slot.within(TIME, drained).await.unwrap_or(false)
    }

    /// Answers bytes that are no request.
    async fn refuse(&mut self, peer: &Peer, error: http1::Error) {
        const LOGGED: usize = 1 << 10;
        let accept = self
            .parser
            .header(&self.inbox, Known::Accept)
            .map(|value| String::from_utf8_lossy(value).into_owned());
        let line = self.inbox.as_ref().split(|byte| *byte == b'\n').next();
        let line = line.unwrap_or_default().trim_ascii_end();
        let line = line
            .get(..line.len().min(LOGGED))
            .unwrap_or_default()
            .to_vec();
        let refused = Refused {
            line: &line,
            accept: accept.as_deref(),
            is_head: self.parser.method() == Some(&http1::Method::Head),
        };
        let worker = self.worker.clone();
        exchange::refuse(&worker, peer, self, Error::Request(error), refused).await;
    }

    /// Ends the connection so that the client reads the answer: without this, bytes that it still sends would make
    /// the system reset the connection, and the reset can overtake the answer.
    async fn linger(&mut self) {
        const TIME: Duration = Duration::from_secs(5);
        const MOST: usize = 1 << 20;
        let Self {
            stream,
            slot,
            inbox,
            ..
        } = self;
        let unread = !self.body.is_done() || !inbox.is_empty();
        let farewell = pin!(async {
            use tokio::io::AsyncWriteExt;
            if stream.shutdown().await.is_err() || !unread {
                return;
            }
            let mut dropped = 0;
            while dropped < MOST {
                inbox.clear();
                match std::future::poll_fn(|cx| wire::poll_read(stream, cx, inbox)).await {
                    Ok(read @ 1..) => dropped += read,
                    _ => return,
                }
            }
        });
        // Whether or not the client came to its end, the connection is dropped now.
        let _ = slot.within(TIME, farewell).await;
    }

    /// Hands the connection over to HTTP/2.
    async fn become_http2(mut self, peer: Rc<Peer>) {
        if self.stream.unread(&self.inbox).is_ok() {
            let Self { stream, worker, .. } = self;
            crate::http2_client::serve(worker, stream, peer).await;
        }
    }
}

/// Reads once. While nothing is there the connection holds no buffer, and it ends when a worker that drains has waited
/// long enough.
fn poll_fill(
    stream: &mut Stream,
    inbox: &mut BytesMut,
    worker: &Local,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if inbox.is_empty() && worker.closes_idle() {
        return Poll::Ready(Ok(0));
    }
    if inbox.capacity() == 0 {
        ready!(stream.poll_readable(cx))?;
        *inbox = worker.buffers.take_body();
    }
    let read = wire::poll_read(stream, cx, inbox);
    if inbox.is_empty() {
        worker.buffers.give(std::mem::take(inbox));
    }
    read
}
