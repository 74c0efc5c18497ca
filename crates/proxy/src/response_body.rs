//! Phase *response body*: the upstream's answer on its way to the client, as fast as both of them allow.

use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http1::{BodyEncoder, Framing, ResponseHead, Version};

use crate::bypass::Pipes;
use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::Answer;
use crate::http1_client::Http1Client;
use crate::http2_client::AnswerStream;
use crate::local::Local;
use crate::response_head;
use crate::upstream::{Http1Body, Http1Upstream};
use crate::wire::{COPIED, Outgoing};

/// What a buffering route reads ahead of a slow client.
const READ_AHEAD: usize = 256 << 10;

/// The least that is worth a pipe: for less, the calls cost what the copying would (bench case "GET, 64 KiB answer").
const LONG: u64 = 32 << 10;

/// Sends an upstream's answer to the client.
pub(crate) async fn send(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    answer: Answer,
    read_timeout: Duration,
) -> Result<(), Error> {
    match client {
        Client::Http1(client) => {
            let mut relay = Relay::begin(exchange, client, answer)?;
            relay.run(exchange, client, read_timeout).await?;
            relay.finish(&exchange.worker);
            Ok(())
        }
        Client::Http2(client) => {
            send_http2(exchange, &mut client.answer, answer, read_timeout).await
        }
    }
}

/// The body that follows an answer's head.
fn body_of(
    exchange: &mut Exchange,
    upstream: Http1Upstream,
    head: &ResponseHead,
    uploaded: bool,
) -> Http1Body {
    let mut body = upstream.body(head, exchange.head.method());
    if !uploaded {
        body.spoil();
        exchange.keep_alive = false;
    }
    body
}

/// An answer on its way from an HTTP/1 upstream to an HTTP/1 client.
pub(crate) struct Relay {
    body: Http1Body,
    encoder: BodyEncoder,
    out: Outgoing,
    /// How much waits for the client at most while the upstream is read.
    ahead: usize,
    /// Where a pipe comes from, if the rest of the body may go through one.
    pipes: Option<Rc<Pipes>>,
    /// Bytes of payload.
    sent: u64,
    ended: bool,
}

impl Relay {
    /// Queues the head, and what has arrived of the body.
    pub fn begin(
        exchange: &mut Exchange,
        client: &Http1Client,
        answer: Answer,
    ) -> Result<Self, Error> {
        let Answer {
            mut head,
            upstream,
            uploaded,
        } = answer;
        let mut body = body_of(exchange, upstream, &head, uploaded);
        let long = body.spliceable().is_some_and(|left| left >= LONG);
        let bypasses = long && client.stream.is_spliceable();
        body.expect_long(bypasses);
        let method = exchange.head.method();
        let old = exchange.head.version() == Version::Http10;
        let (announced, framing) = match head.framing(method) {
            Framing::None if old && head.announced(method) == Framing::Chunked => {
                (Framing::None, Framing::None)
            }
            Framing::None => (head.announced(method), Framing::None),
            Framing::Length(length) => (Framing::Length(length), Framing::Length(length)),
            Framing::Chunked | Framing::UntilClose if old => {
                (Framing::UntilClose, Framing::UntilClose)
            }
            Framing::Chunked | Framing::UntilClose => (Framing::Chunked, Framing::Chunked),
        };
        let connection = exchange.connection(framing);
        let status = head.status();
        let ahead = if exchange.chosen()?.route.response_buffering && !exchange.unbuffered {
            READ_AHEAD
        } else {
            0
        };
        let mut bytes = exchange.worker.scratch.take();
        response_head::write(exchange, &mut head, announced, connection, &mut bytes)?;
        // Perf: frees the read buffer, so that the body can be read into it from its start.
        exchange.keep(head);
        let mut relay = Self {
            body,
            encoder: BodyEncoder::new(framing),
            out: Outgoing::default(),
            ahead,
            pipes: bypasses.then(|| exchange.worker.pipes.clone()),
            sent: 0,
            ended: false,
        };
        let length = match framing {
            // Perf: cheaper than to cut a piece off what was read (bench case "GET, 1 KiB answer").
            Framing::Length(1..) => relay.body.copy_whole(COPIED, &mut bytes)?,
            _ => None,
        };
        match length {
            Some(length) => relay.note_whole(length)?,
            None => relay.gather()?,
        }
        relay.out.begin(bytes);
        exchange.status = Some(status);
        Ok(relay)
    }

    /// Carries the answer to its end; [`Relay::finish`] is next.
    pub async fn run(
        &mut self,
        exchange: &mut Exchange,
        client: &mut Http1Client,
        read_timeout: Duration,
    ) -> Result<(), Error> {
        let send_timeout = exchange.published.settings.limits.send_timeout;
        let relayed = loop {
            let limit = if self.out.is_empty() {
                read_timeout
            } else {
                send_timeout
            };
            let step = exchange.slot.poll_within(limit, |cx| self.poll(client, cx));
            match step.await {
                Ok(Ok(true)) => break Ok(()),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => break Err(error),
                Err(_) if self.out.is_empty() => break Err(Error::Truncated),
                Err(_) => break Err(Error::ClientStalled),
            }
        };
        exchange.body_bytes = self.sent;
        exchange.sent_bytes = self.out.written;
        relayed
    }

    /// Gives back what the answer was carried with.
    pub fn finish(mut self, worker: &Local) {
        worker.scratch.set(self.out.take_buffer());
        self.body.finish(worker);
    }

    /// Queues what has arrived of the body, as one chunk if the client gets chunks.
    fn gather(&mut self) -> Result<(), Error> {
        let cannot = |_| Error::Truncated;
        let first = match self.body.arrived()? {
            Some(Some(first)) => first,
            Some(None) => return self.end(),
            None => return Ok(()),
        };
        let mut length = first.len();
        // Perf: the usual case is one piece, which needs no list.
        let mut more: Vec<Bytes> = Vec::new();
        while let Some(next) = self.body.arrived()? {
            let Some(piece) = next else {
                self.ended = true;
                break;
            };
            length += piece.len();
            more.push(piece);
        }
        let frame = self.encoder.frame(length).map_err(cannot)?;
        if !frame.before().is_empty() {
            self.out.push(Bytes::copy_from_slice(frame.before()));
        }
        self.out.push(first);
        for piece in more {
            self.out.push(piece);
        }
        self.out.push(Bytes::from_static(frame.after()));
        self.sent += length as u64;
        if self.ended { self.end() } else { Ok(()) }
    }

    /// Counts a body that was copied behind the head.
    fn note_whole(&mut self, length: usize) -> Result<(), Error> {
        self.encoder.frame(length).map_err(|_| Error::Truncated)?;
        self.sent = length as u64;
        self.ended = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.ended = true;
        let mut end = BytesMut::new();
        self.encoder
            .finish(self.body.take_trailers().as_ref(), &mut end)
            .map_err(|_| Error::Truncated)?;
        self.out.push(end.freeze());
        Ok(())
    }

    /// Whether the upstream is read although the client is not ready. What is in a pipe would have to be copied for that,
    /// which is worth it only if the upstream is done then.
    fn reads_ahead(&self) -> bool {
        let waiting = self.out.waiting() as u64;
        let most = self.ahead as u64;
        let piped = self.out.in_pipe() > 0;
        waiting < most
            && (!piped
                || self
                    .body
                    .left()
                    .is_some_and(|left| left > 0 && waiting + left <= most))
    }

    /// Counts what was moved into the pipe; always false, for [`Relay::poll`].
    fn note_piped(&mut self, moved: usize) -> Result<bool, Error> {
        self.encoder.frame(moved).map_err(|_| Error::Truncated)?;
        self.sent += moved as u64;
        if self.body.is_done() {
            self.end()?;
        }
        Ok(false)
    }

    /// Makes one step; true when all is written. Whatever was written is a step of its own, so that the time to wait
    /// is measured from it, and for the upstream once nothing waits for the client.
    fn poll(
        &mut self,
        client: &mut Http1Client,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<bool, Error>> {
        let before = self.out.written;
        let written = self.out.poll_write(&mut client.stream, cx);
        let moved = self.out.written != before;
        if let Poll::Ready(written) = written {
            if let Err(error) = written {
                return Poll::Ready(Err(Error::ClientGone(error)));
            }
            if self.ended {
                return Poll::Ready(Ok(true));
            }
        } else if self.ended || !self.reads_ahead() {
            return if moved {
                Poll::Ready(Ok(false))
            } else {
                Poll::Pending
            };
        }
        if let Some(pipes) = &self.pipes
            && self.out.is_empty()
        {
            match self.body.poll_fill_pipe(&mut self.out, pipes, cx) {
                Poll::Ready(Some(filled)) => {
                    return Poll::Ready(filled.and_then(|filled| self.note_piped(filled)));
                }
                Poll::Ready(None) => self.pipes = None,
                Poll::Pending if moved => return Poll::Ready(Ok(false)),
                Poll::Pending => return Poll::Pending,
            }
        } else if let Err(error) = self.out.empty_pipe() {
            tracing::warn!(%error, "a pipe cannot be read");
            return Poll::Ready(Err(Error::Internal("a pipe that cannot be read")));
        }
        match self.body.poll_read(cx) {
            Poll::Ready(Ok(more)) => {
                let gathered = if more { self.gather() } else { self.end() };
                Poll::Ready(gathered.map(|()| false))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if moved => Poll::Ready(Ok(false)),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn send_http2(
    exchange: &mut Exchange,
    client: &mut AnswerStream,
    answer: Answer,
    read_timeout: Duration,
) -> Result<(), Error> {
    let Answer {
        mut head,
        upstream,
        uploaded,
    } = answer;
    let mut body = body_of(exchange, upstream, &head, uploaded);
    response_head::finish(exchange, &mut head)?;
    let method = exchange.head.method();
    let (framing, announced) = (head.framing(method), head.announced(method));
    let empty = matches!(framing, Framing::None | Framing::Length(0));
    let status = head.status();
    client.begin(&head, if empty { announced } else { framing }, empty)?;
    head.recycle(&exchange.worker.buffers);
    exchange.status = Some(status);
    let send_timeout = exchange.published.settings.limits.send_timeout;
    let mut ended = empty;
    while !ended {
        match body.arrived()? {
            Some(Some(piece)) => {
                exchange.body_bytes += piece.len() as u64;
                ended = body.is_done();
                exchange
                    .slot
                    .within(send_timeout, pin!(client.data(piece, ended)))
                    .await
                    .unwrap_or(Err(Error::ClientStalled))?;
            }
            Some(None) => {
                let trailers = body.take_trailers();
                client.finish(trailers.as_ref()).await?;
                ended = true;
            }
            None => {
                if !exchange
                    .slot
                    .poll_within(read_timeout, |cx| body.poll_read(cx))
                    .await
                    .unwrap_or(Err(Error::Truncated))?
                {
                    client.finish(None).await?;
                    ended = true;
                }
            }
        }
    }
    body.finish(&exchange.worker);
    Ok(())
}
