//! Phase *forward* to an HTTP/2 upstream, for services of the protocols grpc and grpcs: both bodies flow at the same time,
//! and trailers go through.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, request};
use http1::{Framing, OwnLines, ResponseHead};
use net::connect::Target;
use net::h2::{self, Pending, SendBody};
use plugin_api::{Phase, Reply};
use router::Protocol;
use snapshot::Service;
use tokio::task::spawn_local;

use crate::client::Client;
use crate::deadline::Slot;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::filtered::{self, Body, Coming};
use crate::http2_client::{RequestStream, to_headers, to_map};
use crate::local::Local;
use crate::request_body::{FileReader, Reading, RequestBody};
use crate::sink::Sink;
use crate::target::Picked;
use crate::{own_answer, response_head};

/// The HTTP/2 connections of one worker.
#[derive(Default)]
pub(crate) struct Connections(RefCell<HashMap<Target, Vec<Kept>>>);

struct Kept {
    client: h2::Client,
    used: Instant,
}

impl Connections {
    /// A connection to the target that takes another stream, and whether it was kept.
    async fn get(
        &self,
        local: &Local,
        target: &Target,
        timeout: Duration,
    ) -> Result<(h2::Client, bool), Error> {
        let now = local.clock.monotonic();
        if let Some(kept) = self.0.borrow_mut().get_mut(target).and_then(|kept| {
            kept.iter_mut()
                .find_map(|kept| kept.client.is_ready().then_some(kept))
        }) {
            kept.used = now;
            return Ok((kept.client.clone(), true));
        }
        let stream = local.connector.connect(target, timeout).await?;
        let connected =
            tokio::time::timeout(timeout, h2::connect(stream, &h2::Settings::default())).await;
        let (client, driver) = connected
            .map_err(|_| Error::UpstreamTimeout)?
            .map_err(Error::Http2Upstream)?;
        spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "an HTTP/2 upstream connection ended");
            }
        });
        self.0
            .borrow_mut()
            .entry(target.clone())
            .or_default()
            .push(Kept {
                client: client.clone(),
                used: now,
            });
        Ok((client, false))
    }

    /// Drops connections that are closed, or idle for too long.
    pub fn sweep(&self, now: Instant, idle: Duration) {
        self.0.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|kept| {
                kept.client.is_ready()
                    && (idle.is_zero() || now.saturating_duration_since(kept.used) < idle)
            });
            !kept.is_empty()
        });
    }
}

/// Carries out the rest of an exchange with an HTTP/2 upstream.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    service: &Service,
    mut target: Picked,
    read: Option<RequestBody>,
) -> Result<(), Error> {
    let framing = read
        .as_ref()
        .map_or(exchange.head.framing(), RequestBody::framing);
    let bodyless = matches!(framing, Framing::None | Framing::Length(0));
    let mut own = OwnLines::new();
    exchange.add_request_lines(target.host(service), &mut own)?;
    own.apply(&mut exchange.head.headers)
        .map_err(|_| Error::Internal("a header that cannot be forwarded"))?;
    let mut tries_left = service.retries;
    let (send, pending) = loop {
        match open(exchange, service, &target, framing).await {
            Ok(opened) => break opened,
            Err(error) if tries_left > 0 && error.nothing_was_sent() => {
                exchange.end_try(false, Some(&error));
                target.failed(&error);
                tries_left -= 1;
                target = exchange.pick_again(service, &mut target).await?;
            }
            Err(error) => {
                exchange.end_try(false, Some(&error));
                target.failed(&error);
                return Err(error);
            }
        }
    };
    let source = match (read, &*client) {
        _ if bodyless => Source::Nothing,
        (Some(read), _) => Source::Read(read),
        (None, Client::Http2(_)) => Source::Stream,
        // An HTTP/1 client sends its body and then waits for the answer.
        (None, Client::Http1(_)) => {
            let limits = exchange.published.settings.limits;
            let how = Reading {
                buffered: true,
                in_memory: limits.body_in_memory,
                share: None,
                timeout: limits.body_timeout,
                slot: &exchange.slot,
            };
            Source::Read(RequestBody::read(client, exchange.head.framing(), &how).await?)
        }
    };
    let slot = exchange.worker.deadlines.slot();
    let outcome = match client {
        Client::Http2(client) => {
            let upload = upload(
                source,
                Some(&mut client.body),
                send,
                &slot,
                service.write_timeout,
            );
            let sink = Sink::Http2(&mut client.answer);
            let download = download(exchange, sink, pending, service.read_timeout);
            together(upload, download).await
        }
        Client::Http1(client) => {
            let upload = upload(source, None, send, &slot, service.write_timeout);
            let sink = Sink::http1(client);
            together(
                upload,
                download(exchange, sink, pending, service.read_timeout),
            )
            .await
        }
    };
    match (&outcome, exchange.upstream_status) {
        (_, Some(status)) => target.answered(status),
        (Err(error), None) => {
            let kept = exchange.tries.last().is_some_and(|last| last.keep_alive);
            exchange.end_try(kept, Some(error));
            target.failed(error);
        }
        (Ok(_), None) => {}
    }
    match outcome? {
        Some(reply) => own_answer::send_plugin(exchange, client, *reply).await,
        None => Ok(()),
    }
}

/// Runs both directions; the answer's end is the end, whatever is left of the request.
async fn together<T>(
    upload: impl Future<Output = Result<(), Error>>,
    download: impl Future<Output = Result<Option<T>, Error>>,
) -> Result<Option<T>, Error> {
    let (mut upload, mut download) = (pin!(upload), pin!(download));
    let mut uploading = true;
    let mut failure = None;
    std::future::poll_fn(|cx| {
        if uploading && let Poll::Ready(uploaded) = upload.as_mut().poll(cx) {
            uploading = false;
            failure = uploaded.err();
        }
        match download.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(failure
                .take()
                .filter(|_| !matches!(error, Error::Truncated))
                .unwrap_or(error))),
            Poll::Pending
                if matches!(
                    failure,
                    Some(Error::ClientGone(_) | Error::BodyTooLarge | Error::RequestTimeout)
                ) =>
            {
                Poll::Ready(failure.take().map_or(Ok(None), Err))
            }
            done => done,
        }
    })
    .await
}

/// Opens a stream with the request's head.
async fn open(
    exchange: &mut Exchange,
    service: &Service,
    target: &Picked,
    framing: Framing,
) -> Result<(SendBody, Pending), Error> {
    exchange.forwarded = Some(exchange.worker.clock.monotonic());
    let local = exchange.worker.clone();
    let (mut connection, kept) = local
        .grpc
        .get(&local, &target.target, service.connect_timeout)
        .await?;
    exchange.end_try(kept, None);
    let head = request_head(exchange, service, target, framing)?;
    let end = matches!(framing, Framing::None | Framing::Length(0));
    connection.send(head, end).map_err(Error::Http2Upstream)
}

fn request_head(
    exchange: &Exchange,
    service: &Service,
    target: &Picked,
    framing: Framing,
) -> Result<request::Parts, Error> {
    let cannot = |_| Error::Internal("a request head that HTTP/2 cannot carry");
    let scheme = if service.protocol == Protocol::Grpcs {
        "https"
    } else {
        "http"
    };
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(target.host(service))
        .path_and_query(exchange.chosen()?.target.as_slice());
    let method = exchange.head.method().as_str();
    let request = http::Request::builder()
        .method(method)
        .uri(uri.build().map_err(cannot)?)
        .body(())
        .map_err(cannot)?;
    let (mut parts, ()) = request.into_parts();
    parts.headers = to_map(&exchange.head.headers);
    if let Framing::Length(length) = framing {
        parts
            .headers
            .insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(parts)
}

/// Where the request's body comes from.
enum Source {
    Nothing,
    Stream,
    Read(RequestBody),
}

async fn upload(
    source: Source,
    stream: Option<&mut RequestStream>,
    mut send: SendBody,
    slot: &Slot,
    timeout: Duration,
) -> Result<(), Error> {
    let sent = async |send: &mut SendBody, piece: Bytes, end: bool| {
        let sent = slot.within(timeout, pin!(send.data(piece, end))).await;
        sent.map_err(|_| Error::UpstreamTimeout)?
            .map_err(Error::Http2Upstream)
    };
    match (source, stream) {
        (Source::Stream, Some(stream)) => {
            while let Some(piece) = std::future::poll_fn(|cx| stream.poll_next(cx)).await? {
                sent(&mut send, piece, false).await?;
            }
            match stream.take_trailers() {
                Some(trailers) => send
                    .trailers(to_map(&trailers))
                    .map_err(Error::Http2Upstream),
                None => sent(&mut send, Bytes::new(), true).await,
            }
        }
        (Source::Read(RequestBody::Memory { pieces, .. }), _) => {
            for piece in pieces {
                sent(&mut send, piece, false).await?;
            }
            sent(&mut send, Bytes::new(), true).await
        }
        (Source::Read(RequestBody::File { file, length }), _) => {
            let mut reader = FileReader::new(file, length);
            while let Some(piece) = std::future::poll_fn(|cx| reader.poll_piece(cx))
                .await
                .map_err(Error::Spill)?
            {
                sent(&mut send, piece, false).await?;
            }
            sent(&mut send, Bytes::new(), true).await
        }
        (Source::Read(RequestBody::Empty(_) | RequestBody::Streamed { .. }), _) => {
            sent(&mut send, Bytes::new(), true).await
        }
        (Source::Nothing | Source::Stream, _) => Ok(()),
    }
}

/// Sends the answer to the client; one that a plugin gives instead is handed back.
async fn download(
    exchange: &mut Exchange,
    mut sink: Sink<'_>,
    mut pending: Pending,
    timeout: Duration,
) -> Result<Option<Box<Reply>>, Error> {
    let answered = exchange.slot.within(timeout, pin!(pending.head())).await;
    let (parts, body) = answered
        .map_err(|_| Error::UpstreamTimeout)?
        .map_err(Error::Http2Upstream)?;
    exchange.waited_until = Some(exchange.worker.clock.monotonic());
    let length = parts
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let empty = body.is_end();
    let framing = match length {
        Some(length) => Framing::Length(length),
        None if empty => Framing::Length(0),
        None => Framing::Chunked,
    };
    let mut head = ResponseHead::new(parts.status.as_u16(), framing);
    exchange.upstream_status = Some(head.status());
    head.headers = to_headers(&parts.headers);
    let mut body = Body::Http2(body);
    if exchange.has_phase(Phase::Response) || exchange.has_phase(Phase::BodyFilter) {
        let coming = Coming {
            head,
            framing,
            body,
            read_timeout: timeout,
        };
        return filtered::pass(exchange, sink, coming).await;
    }
    response_head::edit(exchange, &mut head)?;
    response_head::finish(exchange, &mut head)?;
    let announced = if length.is_none() && empty {
        Framing::None
    } else {
        framing
    };
    exchange.status = Some(head.status());
    sink.begin(exchange, &head, announced, empty).await?;
    exchange.keep_sent(head, announced);
    if empty {
        return Ok(None);
    }
    while let Some(piece) = body.next(exchange, timeout).await? {
        exchange.body_bytes += piece.len() as u64;
        sink.data(exchange, piece).await?;
    }
    let trailers = body.trailers(exchange, timeout).await?;
    sink.finish(trailers.as_ref()).await?;
    Ok(None)
}

impl Exchange {
    /// Whether the upstream speaks HTTP/2.
    pub fn is_grpc_upstream(&self) -> bool {
        let service = self.chosen.as_ref().and_then(|chosen| chosen.service());
        service.is_some_and(|service| is_grpc(service))
    }
}

/// Whether a service's upstream is spoken to over HTTP/2.
pub(crate) fn is_grpc(service: &Service) -> bool {
    matches!(service.protocol, Protocol::Grpc | Protocol::Grpcs)
}
