//! Phases *response head* and *response body*: what the client gets, from the upstream or from us.

use std::io::{IoSlice, Write as _};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http1::{BodyEncoder, Connection, Framing, Headers, Known, Method, ResponseHead, Version};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::Answer;
use crate::http1_client::Http1Client;
use crate::http2_client::AnswerStream;
use crate::local::Local;
use crate::published::Published;
use crate::reply::Reply;
use crate::request_id::RequestId;
use crate::upstream::Http1Body;
use crate::wire::Outgoing;

/// What a buffering route reads ahead of a slow client.
const READ_AHEAD: usize = 256 << 10;

/// Edits the head of an upstream's answer: what concerned only us goes, what we say about the exchange comes.
pub(crate) fn edit_head(exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Error> {
    head.strip_hop_by_hop();
    let status = head.status();
    let headers = &mut head.headers;
    exchange.unbuffered = headers
        .get("x-accel-buffering")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"no"));
    remove_private(headers);
    let trailers_wanted = exchange.head.accepts_trailers();
    if !trailers_wanted {
        headers.remove(Known::Trailer);
    }
    let edited = keep_first_only(headers)
        .and_then(|()| add_charset(headers, status, &exchange.published.settings.charset))
        .and_then(|()| add_own(exchange, headers, status));
    edited.map_err(|_| Error::Internal("a response header that cannot be written"))
}

/// Removes headers by which an upstream speaks to nginx alone.
fn remove_private(headers: &mut Headers) {
    let private = |name: &[u8]| {
        let start = |length: usize| name.get(..length).map(<[u8]>::to_ascii_lowercase);
        name.len() >= 5
            && name.first().is_some_and(|first| *first | 0x20 == b'x')
            && (start(8).as_deref() == Some(b"x-accel-") || name.eq_ignore_ascii_case(b"x-pad"))
    };
    let found: Vec<Vec<u8>> = headers
        .iter()
        .filter(|field| field.known == Known::Other && private(field.name))
        .map(|field| field.name.to_vec())
        .collect();
    for name in found {
        headers.remove(name.as_slice());
    }
}

/// Compat: of a header that can only have one value, nginx keeps the first line.
fn keep_first_only(headers: &mut Headers) -> Result<(), http1::Error> {
    for known in [
        Known::ContentType,
        Known::Server,
        Known::Date,
        Known::Location,
    ] {
        if headers.get_all(&known).nth(1).is_some()
            && let Some(first) = headers.get(known).map(<[u8]>::to_vec)
        {
            headers.set(known, first)?;
        }
    }
    Ok(())
}

/// Names the charset of text that does not say, as nginx's `charset` does.
fn add_charset(headers: &mut Headers, status: u16, charset: &str) -> Result<(), http1::Error> {
    const TEXTUAL: [&[u8]; 6] = [
        b"text/html",
        b"text/xml",
        b"text/plain",
        b"text/vnd.wap.wml",
        b"application/javascript",
        b"application/rss+xml",
    ];
    let Some(kind) = headers.get(Known::ContentType) else {
        return Ok(());
    };
    if charset.is_empty()
        || matches!(status, 301 | 302)
        || !TEXTUAL
            .iter()
            .any(|textual| kind.eq_ignore_ascii_case(textual))
    {
        return Ok(());
    }
    let value = [kind, b"; charset=", charset.as_bytes()].concat();
    headers.set(Known::ContentType, value)
}

fn add_own(exchange: &Exchange, headers: &mut Headers, status: u16) -> Result<(), http1::Error> {
    let settings = &exchange.published.settings;
    let enabled = settings.headers;
    let times = Times::of(exchange);
    if enabled.upstream_status {
        headers.set(Known::XKongUpstreamStatus, Decimal::new(status.into()))?;
    }
    if enabled.upstream_latency {
        headers.set(Known::XKongUpstreamLatency, Decimal::new(times.upstream))?;
    }
    if enabled.proxy_latency {
        headers.set(Known::XKongProxyLatency, Decimal::new(times.proxy))?;
    }
    if enabled.via {
        let version: &[u8] = if exchange.is_grpc_upstream() {
            b"2 "
        } else {
            b"1.1 "
        };
        let mut via = exchange.worker.text.take();
        via.clear();
        if let Some(so_far) = headers.get(Known::Via) {
            via.extend_from_slice(so_far);
            via.extend_from_slice(b", ");
        }
        via.extend_from_slice(version);
        via.extend_from_slice(&settings.server_token);
        headers.set(Known::Via, &via)?;
        exchange.worker.text.set(via);
    }
    if enabled.server && !headers.contains(Known::Server) {
        headers.append(Known::Server, &settings.server_token)?;
    }
    if enabled.request_id {
        headers.set(Known::XKongRequestId, exchange.id.as_bytes())?;
    }
    for (name, value) in exchange.debug_lines() {
        headers.set(name, value)?;
    }
    if let Some(cookie) = &exchange.set_cookie {
        headers.append(Known::SetCookie, cookie)?;
    }
    if !headers.contains(Known::Date) {
        let mut date = Vec::with_capacity(32);
        exchange.worker.moment.write_http_date(&mut date);
        headers.append(Known::Date, date)?;
    }
    Ok(())
}

/// A number as text. Perf: without an allocation.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len() - 1;
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
            start = index;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// Where the time of an exchange went, in milliseconds.
struct Times {
    /// Before the request went to the upstream.
    proxy: u64,
    /// From then to the head of the answer.
    upstream: u64,
    /// From the start to now.
    total: u64,
}

impl Times {
    fn of(exchange: &Exchange) -> Self {
        let millis = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        let answered = exchange
            .waited_until
            .unwrap_or_else(|| exchange.worker.clock.monotonic());
        let forwarded = exchange.forwarded.unwrap_or(answered);
        Self {
            proxy: millis(exchange.started, forwarded),
            upstream: millis(forwarded, answered),
            total: millis(exchange.started, answered),
        }
    }
}

/// Sends an upstream's answer to the client.
pub(crate) async fn send(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    answer: Answer,
    read_timeout: Duration,
) -> Result<(), Error> {
    let Answer {
        head,
        upstream,
        uploaded,
    } = answer;
    let mut body = upstream.body(&head, exchange.head.method());
    if !uploaded {
        body.spoil();
        exchange.keep_alive = false;
    }
    match client {
        Client::Http1(client) => send_http1(exchange, client, head, body, read_timeout).await,
        Client::Http2(client) => {
            send_http2(exchange, &mut client.answer, head, body, read_timeout).await
        }
    }
}

async fn send_http1(
    exchange: &mut Exchange,
    client: &mut Http1Client,
    head: ResponseHead,
    mut body: Http1Body,
    read_timeout: Duration,
) -> Result<(), Error> {
    let method = exchange.head.method();
    let old = exchange.head.version() == Version::Http10;
    let (announced, framing) = match head.framing(method) {
        Framing::None if old && head.announced(method) == Framing::Chunked => {
            (Framing::None, Framing::None)
        }
        Framing::None => (head.announced(method), Framing::None),
        Framing::Length(length) => (Framing::Length(length), Framing::Length(length)),
        Framing::Chunked | Framing::UntilClose if old => (Framing::UntilClose, Framing::UntilClose),
        Framing::Chunked | Framing::UntilClose => (Framing::Chunked, Framing::Chunked),
    };
    exchange.keep_alive &= framing != Framing::UntilClose;
    let connection = if exchange.keep_alive {
        Connection::KeepAlive
    } else {
        Connection::Close
    };
    let mut out = Outgoing::default();
    let status = head.status();
    {
        let mut scratch = exchange.worker.scratch.borrow_mut();
        head.write(announced, connection, &mut scratch)
            .map_err(|_| Error::Internal("a response head that cannot be written"))?;
        out.push(scratch.split().freeze());
    }
    let ahead = if exchange.chosen()?.route.response_buffering && !exchange.unbuffered {
        READ_AHEAD
    } else {
        0
    };
    // Perf: frees the read buffer, so that the body can be read into it from its start.
    head.recycle(&exchange.worker.buffers);
    let mut relay = Relay {
        encoder: BodyEncoder::new(framing),
        out,
        sent: 0,
        ended: false,
    };
    relay.gather(&mut body)?;
    exchange.status = Some(status);
    let send_timeout = exchange.published.settings.limits.send_timeout;
    let relayed = loop {
        let limit = if relay.out.is_empty() {
            read_timeout
        } else {
            send_timeout
        };
        match exchange
            .slot
            .within(
                limit,
                std::future::poll_fn(|cx| relay.poll(client, &mut body, ahead, cx)),
            )
            .await
        {
            Ok(Ok(true)) => break Ok(()),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => break Err(error),
            Err(_) if relay.out.is_empty() => break Err(Error::Truncated),
            Err(_) => break Err(Error::ClientStalled),
        }
    };
    exchange.body_bytes = relay.sent;
    relayed?;
    body.finish(&exchange.worker);
    Ok(())
}

/// An answer on its way from an HTTP/1 upstream to an HTTP/1 client.
struct Relay {
    encoder: BodyEncoder,
    out: Outgoing,
    /// Bytes of payload.
    sent: u64,
    ended: bool,
}

impl Relay {
    /// Queues what has arrived of the body, as one chunk if the client gets chunks.
    fn gather(&mut self, body: &mut Http1Body) -> Result<(), Error> {
        let cannot = |_| Error::Truncated;
        let first = match body.arrived()? {
            Some(Some(first)) => first,
            Some(None) => return self.end(body),
            None => return Ok(()),
        };
        let mut length = first.len();
        // Perf: the usual case is one piece, which needs no list.
        let mut more: Vec<Bytes> = Vec::new();
        while let Some(next) = body.arrived()? {
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
        if self.ended { self.end(body) } else { Ok(()) }
    }

    fn end(&mut self, body: &mut Http1Body) -> Result<(), Error> {
        self.ended = true;
        let mut end = BytesMut::new();
        self.encoder
            .finish(body.take_trailers().as_ref(), &mut end)
            .map_err(|_| Error::Truncated)?;
        self.out.push(end.freeze());
        Ok(())
    }

    /// Makes one step; true when all is written.
    fn poll(
        &mut self,
        client: &mut Http1Client,
        body: &mut Http1Body,
        ahead: usize,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<bool, Error>> {
        let written = self.out.poll_write(&mut client.stream, cx);
        if let Poll::Ready(written) = written {
            if let Err(error) = written {
                return Poll::Ready(Err(Error::ClientGone(error)));
            }
            if self.ended {
                return Poll::Ready(Ok(true));
            }
        } else if self.ended || self.out.waiting() >= ahead {
            return Poll::Pending;
        }
        match body.poll_read(cx) {
            Poll::Ready(Ok(more)) => {
                let gathered = if more {
                    self.gather(body)
                } else {
                    self.end(body)
                };
                Poll::Ready(gathered.map(|()| false))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn send_http2(
    exchange: &mut Exchange,
    client: &mut AnswerStream,
    head: ResponseHead,
    mut body: Http1Body,
    read_timeout: Duration,
) -> Result<(), Error> {
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
                    .within(send_timeout, client.data(piece, ended))
                    .await
                    .unwrap_or(Err(Error::ClientStalled))?;
            }
            Some(None) => {
                let trailers = body.take_trailers();
                client.finish(trailers.as_ref()).await?;
                ended = true;
            }
            None => {
                let more = std::future::poll_fn(|cx| body.poll_read(cx));
                if !exchange
                    .slot
                    .within(read_timeout, more)
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

/// Sends an answer of ours.
pub(crate) async fn reply(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    mut reply: Reply,
) -> Result<(), Error> {
    let times = Times::of(exchange);
    let status = reply.status;
    let debug = exchange.debug_lines().into_iter();
    reply
        .headers
        .extend(debug.map(|(name, value)| (name, value.into())));
    let stamp = Stamp {
        proxied: exchange.forwarded.is_some(),
        times,
        upstream_status: exchange.forwarded.map(|_| status),
    };
    exchange.status = Some(status);
    let is_head = *exchange.head.method() == Method::Head;
    if !is_head {
        exchange.body_bytes = reply.body.len() as u64;
    }
    match client {
        Client::Http1(client) => {
            let bytes = write_own(
                &exchange.worker,
                &exchange.published,
                &reply,
                &exchange.id,
                &stamp,
                exchange.keep_alive,
                !is_head,
            );
            client.write(&mut [IoSlice::new(&bytes)]).await
        }
        Client::Http2(client) => {
            send_own(
                &exchange.worker,
                &exchange.published,
                &mut client.answer,
                reply,
                &exchange.id,
                &stamp,
                is_head,
            )
            .await
        }
    }
}

/// What an answer of ours says about the exchange.
pub(crate) struct Stamp {
    proxied: bool,
    times: Times,
    upstream_status: Option<u16>,
}

impl Stamp {
    /// For an answer to what never became an exchange.
    pub fn at_once() -> Self {
        Self {
            proxied: false,
            times: Times {
                proxy: 0,
                upstream: 0,
                total: 0,
            },
            upstream_status: None,
        }
    }

    fn headers(
        &self,
        published: &Published,
        id: &RequestId,
        mut add: impl FnMut(&'static str, &[u8]),
    ) {
        let enabled = published.settings.headers;
        let token = &published.settings.server_token;
        if self.proxied {
            if let Some(status) = self.upstream_status.filter(|_| enabled.upstream_status) {
                add(
                    "X-Kong-Upstream-Status",
                    Decimal::new(status.into()).as_ref(),
                );
            }
            if enabled.upstream_latency {
                add(
                    "X-Kong-Upstream-Latency",
                    Decimal::new(self.times.upstream).as_ref(),
                );
            }
            if enabled.proxy_latency {
                add(
                    "X-Kong-Proxy-Latency",
                    Decimal::new(self.times.proxy).as_ref(),
                );
            }
            if enabled.via {
                add("Via", &[b"1.1 ", &token[..]].concat());
            }
        } else if enabled.response_latency {
            add(
                "X-Kong-Response-Latency",
                Decimal::new(self.times.total).as_ref(),
            );
        }
        if enabled.server {
            add("Server", token);
        }
        if enabled.request_id {
            add("X-Kong-Request-Id", id.as_bytes());
        }
    }
}

/// An answer of ours in HTTP/1's form.
pub(crate) fn write_own(
    worker: &Local,
    published: &Published,
    reply: &Reply,
    id: &RequestId,
    stamp: &Stamp,
    keep_alive: bool,
    with_body: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + reply.body.len());
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {} {}\r\nDate: ",
        reply.status,
        crate::reply::reason(reply.status)
    );
    worker.moment.write_http_date(&mut out);
    let _ = write!(
        out,
        "\r\nContent-Length: {}\r\nConnection: {}\r\n",
        reply.body.len(),
        if keep_alive { "keep-alive" } else { "close" }
    );
    let mut line = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        // What comes from the client (the host of a redirect) was checked when it was read; this is the second lock.
        out.extend(
            value
                .iter()
                .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)),
        );
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in &reply.headers {
        line(name, value.as_bytes());
    }
    stamp.headers(published, id, &mut line);
    out.extend_from_slice(b"\r\n");
    if with_body {
        out.extend_from_slice(&reply.body);
    }
    out
}

/// An answer of ours over HTTP/2.
pub(crate) async fn send_own(
    worker: &Local,
    published: &Published,
    client: &mut AnswerStream,
    reply: Reply,
    id: &RequestId,
    stamp: &Stamp,
    is_head: bool,
) -> Result<(), Error> {
    let mut head = ResponseHead::new(reply.status, Framing::Length(reply.body.len() as u64));
    let mut date = Vec::new();
    worker.moment.write_http_date(&mut date);
    // Every value is ours or was checked when it was read; one that is refused here is left out.
    let _ = head.headers.append(Known::Date, date);
    for (name, value) in &reply.headers {
        let _ = head.headers.append(*name, value.as_bytes());
    }
    stamp.headers(published, id, |name, value| {
        let _ = head.headers.append(name, value);
    });
    let end = is_head || reply.body.is_empty();
    client.begin(&head, Framing::Length(reply.body.len() as u64), end)?;
    if end {
        Ok(())
    } else {
        client.data(Bytes::from(reply.body), true).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 255, 1_234_567, u64::MAX] {
            assert_eq!(Decimal::new(number).as_ref(), number.to_string().as_bytes());
        }
    }
}
