//! A client connection that speaks HTTP/2: many exchanges at a time, each a task of its own.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request, response};
use http1::{Framing, Headers, Known, Method, RequestHead, ResponseHead};
use net::Stream;
use net::h2::{RecvBody, Respond, SendBody, ServerConnection, Settings};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::{self, Exchange};
use crate::local::Local;
use crate::peer::Peer;

/// One stream of a client connection.
pub(crate) struct Http2Client {
    pub body: RequestStream,
    pub answer: AnswerStream,
}

/// What a connection brings next.
enum Event {
    Request(Box<net::h2::Exchange>),
    /// The last of its streams ended: from now on it idles.
    Idle,
    Drain,
    End,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(worker: Rc<Local>, stream: Stream, peer: Rc<Peer>) {
    let limits = worker.published().settings.limits;
    let settings = Settings {
        max_concurrent_streams: limits.http2_streams,
        max_header_list_bytes: u32::try_from(limits.head).unwrap_or(u32::MAX),
        ..Settings::default()
    };
    let slot = worker.deadlines.slot();
    let handshake = pin!(ServerConnection::handshake(stream, &settings));
    let Ok(Ok(mut connection)) = slot.within(limits.header_timeout, handshake).await else {
        return;
    };
    let mut requests = 0;
    let mut ending = false;
    loop {
        let patience = if connection.is_idle() {
            limits.keepalive_timeout
        } else {
            Duration::ZERO
        };
        let event = slot
            .within(patience, pin!(next(&mut connection, &worker, ending)))
            .await;
        match event {
            Ok(Event::Request(request)) => {
                requests += 1;
                start(&worker, &peer, *request);
                if requests >= limits.keepalive_requests && !ending {
                    connection.shut_down();
                    ending = true;
                }
            }
            Ok(Event::Idle) => {}
            Ok(Event::End) => return,
            Err(_) if ending => return,
            Ok(Event::Drain) | Err(_) => {
                connection.shut_down();
                ending = true;
            }
        }
    }
}

async fn next(connection: &mut ServerConnection, worker: &Local, ending: bool) -> Event {
    let busy = !connection.is_idle();
    std::future::poll_fn(|cx| {
        if !ending && worker.is_draining() {
            return Poll::Ready(Event::Drain);
        }
        let accepted = pin!(connection.accept()).poll(cx);
        match accepted {
            Poll::Ready(Some(Ok(request))) => Poll::Ready(Event::Request(Box::new(request))),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Event::End),
            Poll::Pending if busy && connection.is_idle() => Poll::Ready(Event::Idle),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Starts an exchange beside the others of its connection.
fn start(worker: &Rc<Local>, peer: &Rc<Peer>, request: net::h2::Exchange) {
    let limits = worker.published().settings.limits;
    let head = to_head(&request.head, request.body.is_end(), limits.header_count);
    let body = RequestStream {
        body: request.body,
        ended: false,
        trailers: None,
        left: if limits.body == 0 {
            u64::MAX
        } else {
            limits.body
        },
    };
    let mut client = Http2Client {
        body,
        answer: AnswerStream {
            respond: Some(request.respond),
            sending: None,
        },
    };
    let (worker, peer) = (worker.clone(), peer.clone());
    // Perf: boxed, because the runtime moves a task several times before it runs.
    tokio::task::spawn_local(Box::pin(async move {
        match head {
            Ok(head) => {
                let mut exchange = Exchange::begin(worker, peer, head, true);
                exchange.serve(&mut Client::Http2(Box::new(client))).await;
                exchange.end();
            }
            Err(error) => exchange::refuse_stream(&worker, &mut client, error).await,
        }
    }));
}

/// The head of a stream as the rest of the proxy knows heads.
fn to_head(
    parts: &request::Parts,
    ended: bool,
    most_headers: usize,
) -> Result<RequestHead, http1::Error> {
    let length = parts
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let framing = match length {
        Some(length) => Framing::Length(length),
        None if ended => Framing::None,
        None => Framing::Chunked,
    };
    let method = Method::parse(parts.method.as_str().as_bytes())?;
    if matches!(method, Method::Connect | Method::Trace) {
        return Err(http1::Error::MethodNotAllowed);
    }
    if parts.headers.len() > most_headers {
        return Err(http1::Error::TooManyHeaders);
    }
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut head = RequestHead::new(method, target.as_bytes(), framing)?;
    if let Some(host) = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes())
        .or_else(|| {
            parts
                .headers
                .get(http::header::HOST)
                .map(HeaderValue::as_bytes)
        })
    {
        head.headers.append(Known::Host, host)?;
    }
    for name in parts.headers.keys() {
        if *name == http::header::HOST || *name == http::header::CONTENT_LENGTH {
            continue;
        }
        if *name == http::header::COOKIE {
            // RFC 9113, 8.2.3: one line again for those who do not speak HTTP/2.
            let crumbs: Vec<&[u8]> = parts
                .headers
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect();
            head.headers
                .append(Known::Cookie, crumbs.join(&b"; "[..]))?;
            continue;
        }
        for value in parts.headers.get_all(name) {
            head.headers.append(name.as_str(), value.as_bytes())?;
        }
    }
    head.headers.check_single()?;
    Ok(head)
}

/// The body of a request.
pub(crate) struct RequestStream {
    body: RecvBody,
    ended: bool,
    trailers: Option<Headers>,
    left: u64,
}

impl RequestStream {
    /// The next piece; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.ended {
            match ready!(pin!(self.body.data()).poll(cx)) {
                Some(Ok(piece)) => {
                    self.left = self
                        .left
                        .checked_sub(piece.len() as u64)
                        .ok_or(Error::BodyTooLarge)?;
                    return Poll::Ready(Ok(Some(piece)));
                }
                Some(Err(error)) => {
                    return Poll::Ready(Err(Error::ClientGone(io::Error::other(error))));
                }
                None => self.ended = true,
            }
        }
        if self.trailers.is_none() && !self.body.is_end() {
            let trailers = ready!(pin!(self.body.trailers()).poll(cx))
                .map_err(|error| Error::ClientGone(io::Error::other(error)))?;
            self.trailers = trailers.as_ref().map(to_headers);
        }
        Poll::Ready(Ok(None))
    }

    /// Trailers, after the end.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}

/// The answer to a request.
pub(crate) struct AnswerStream {
    respond: Option<Respond>,
    sending: Option<SendBody>,
}

impl AnswerStream {
    /// Sends an interim head.
    pub fn inform(&mut self, head: &ResponseHead) {
        if let (Some(respond), Some(parts)) = (&mut self.respond, to_parts(head, Framing::None)) {
            // An interim answer that cannot be sent is not missed; the final one will tell.
            let _ = respond.send_informational(parts);
        }
    }

    /// Sends the head; `end` says that nothing follows.
    pub fn begin(&mut self, head: &ResponseHead, framing: Framing, end: bool) -> Result<(), Error> {
        let parts = to_parts(head, framing)
            .ok_or(Error::Internal("a response head that HTTP/2 cannot carry"))?;
        self.send(parts, end)
    }

    /// As [`AnswerStream::begin`], for a head that is in HTTP/2's form already.
    pub fn send(&mut self, parts: response::Parts, end: bool) -> Result<(), Error> {
        let respond = self
            .respond
            .take()
            .ok_or(Error::Internal("a second answer to one request"))?;
        let sending = respond
            .send_head(parts, end)
            .map_err(|error| Error::ClientGone(io::Error::other(error)))?;
        self.sending = Some(sending);
        Ok(())
    }

    /// Sends a piece of the body as the client's window allows.
    pub async fn data(&mut self, piece: Bytes, end: bool) -> Result<(), Error> {
        let sending = self
            .sending
            .as_mut()
            .ok_or(Error::Internal("a body before its head"))?;
        sending
            .data(piece, end)
            .await
            .map_err(|error| Error::ClientGone(io::Error::other(error)))
    }

    /// Ends the answer.
    pub async fn finish(&mut self, trailers: Option<&Headers>) -> Result<(), Error> {
        match trailers {
            Some(trailers) if !trailers.is_empty() => {
                let sending = self
                    .sending
                    .as_mut()
                    .ok_or(Error::Internal("trailers before their head"))?;
                sending
                    .trailers(to_map(trailers))
                    .map_err(|error| Error::ClientGone(io::Error::other(error)))
            }
            _ => self.data(Bytes::new(), true).await,
        }
    }

    /// Ready when the client does not want the answer any more.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.respond {
            Some(respond) => pin!(respond.closed()).poll(cx).map(io::Error::other),
            None => Poll::Pending,
        }
    }

    /// Resets the stream, so that the client does not take half an answer for a whole one.
    pub fn reset(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.reset(net::h2::Reason::Internal);
        }
    }
}

/// A response head in HTTP/2's form; `None` if it has a status that cannot be.
fn to_parts(head: &ResponseHead, framing: Framing) -> Option<response::Parts> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(head.status()).ok()?;
    parts.headers = to_map(&head.headers);
    if let Framing::Length(length) = framing {
        parts
            .headers
            .insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Some(parts)
}

/// Header lines as a map, without those that frame an HTTP/1 message.
pub(crate) fn to_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for field in headers.iter() {
        if matches!(
            field.known,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade
                | Known::ContentLength
                | Known::Host
                | Known::Expect
                | Known::Proxy
        ) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(field.name),
            HeaderValue::from_bytes(field.value),
        ) {
            map.append(name, value);
        }
    }
    map
}

/// A map as header lines.
pub(crate) fn to_headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        // What HTTP/2 could carry and HTTP/1 cannot is left out.
        let _ = headers.append(name.as_str(), value.as_bytes());
    }
    headers
}
