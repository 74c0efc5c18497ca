//! Phase *forward* to an HTTP/1 upstream: send the request, wait for the head of the answer, try again where that is safe.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http1::ResponseHead;
use snapshot::Service;

use crate::client::Client;
use crate::deadline::TICK;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::request_body::RequestBody;
use crate::target::Picked;
use crate::upload::{Upload, WaitsFor};
use crate::upstream::Http1Upstream;
use crate::wire::COPIED;

/// The head of an upstream's answer, and the connection that the rest comes over.
pub(crate) struct Answer {
    pub head: ResponseHead,
    pub upstream: Http1Upstream,
    /// Whether the upstream was sent the whole request before it answered.
    pub uploaded: bool,
}

/// How far a try came before it failed; what another try depends on.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    /// The connection carried requests before, so that its end may be that of a keep-alive and not of this request.
    reused: bool,
    /// Bytes of the request left us.
    sent: bool,
    /// Part of the body was taken from the client and is gone.
    consumed: bool,
    /// Bytes of an answer came.
    answered: bool,
}

enum Step {
    /// Part of the request went out, or came in; the time to wait begins anew.
    Moved,
    Uploaded,
    Interim(ResponseHead),
    Answered(ResponseHead),
}

/// A wait for an answer in which nobody looks whether the client is still there. Perf: most answers are there within it
/// (bench case "GET, 1 KiB answer").
const BRIEF: Duration = TICK;

/// Sends the request to `target`, and after a failure to others, as the service's `retries` allow.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    service: &Service,
    target: &mut Picked,
    body: &RequestBody,
) -> Result<Answer, Error> {
    let mut tries_left = service.retries;
    loop {
        let mut progress = Progress::default();
        let error = match try_once(exchange, client, service, target, body, &mut progress).await {
            Ok(answer) => {
                target.answered(answer.head.status());
                exchange.end_try(progress.reused, None);
                return Ok(answer);
            }
            Err(error) => error,
        };
        exchange.end_try(progress.reused, Some(&error));
        let stale =
            progress.reused && !progress.answered && matches!(error, Error::UpstreamClosed(_));
        if !stale {
            target.failed(&error);
        }
        if !may_retry(exchange, &error, progress) || (tries_left == 0 && !stale) {
            return Err(error);
        }
        tracing::debug!(%error, tries_left, request_id = %exchange.id, "trying another time");
        // Compat: as in nginx, the end of a kept connection does not count as a try, but is logged as one.
        if stale {
            exchange.note_try(target.target.address, exchange.begin_choice());
        } else {
            tries_left -= 1;
            *target = Box::pin(exchange.pick_again(service, target)).await?;
        }
    }
}

/// Whether the request may be sent again: never if it may have been processed and must not be processed twice.
fn may_retry(exchange: &Exchange, error: &Error, progress: Progress) -> bool {
    if progress.consumed {
        return false;
    }
    error.nothing_was_sent()
        || (!progress.sent && error.is_upstream_failure())
        || (exchange.head.method().is_idempotent() && error.is_upstream_failure())
}

async fn try_once(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    service: &Service,
    target: &Picked,
    body: &RequestBody,
    progress: &mut Progress,
) -> Result<Answer, Error> {
    let worker = exchange.worker.clone();
    exchange.forwarded = Some(worker.now());
    let (to, timeout) = (&target.target, service.connect_timeout);
    let mut upstream = match Http1Upstream::kept(&worker, to) {
        Some(kept) => kept,
        None => Box::pin(Http1Upstream::open(&worker, to, timeout)).await?,
    };
    progress.reused = upstream.reused;
    let (head, copied) = write_head(exchange, target.host(service), body)?;
    let mut upload = Upload::new(head, body, copied)?;
    let mut uploaded = false;
    // The part of a wait for the answer that is over, once it is a long one.
    let mut waited = None;
    let answered = loop {
        let limit = match (uploaded, upload.waits_for()) {
            (true, _) => service.read_timeout,
            (false, WaitsFor::Upstream) => service.write_timeout,
            (false, WaitsFor::Client) => exchange.published.settings.limits.body_timeout,
        };
        let waits_for_client = !uploaded && upload.waits_for() == WaitsFor::Client;
        let brief = uploaded && waited.is_none() && (limit.is_zero() || limit > BRIEF);
        let patience = match waited {
            _ if brief => BRIEF,
            Some(waited) if limit > waited => limit - waited,
            _ => limit,
        };
        let step = |cx: &mut Context<'_>| {
            let mut broken = None;
            let before = upload.position();
            if !uploaded {
                match upload.poll(upstream.stream(), client, cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(Step::Uploaded)),
                    Poll::Ready(Err(error)) => broken = Some(error),
                    Poll::Pending => {}
                }
            }
            match (upstream.poll_head(&worker, cx), broken) {
                (Poll::Ready(Ok(head)), _) if head.is_interim() => {
                    Poll::Ready(Ok(Step::Interim(head)))
                }
                (Poll::Ready(Ok(head)), _) => Poll::Ready(Ok(Step::Answered(head))),
                (_, Some(error)) | (Poll::Ready(Err(error)), None) => Poll::Ready(Err(error)),
                (Poll::Pending, None) if uploaded && !brief => client
                    .poll_gone(cx)
                    .map(|error| Err(Error::ClientGone(error))),
                (Poll::Pending, None) if upload.position() != before => {
                    Poll::Ready(Ok(Step::Moved))
                }
                (Poll::Pending, None) => Poll::Pending,
            }
        };
        let step = match exchange.slot.poll_within(patience, step).await {
            Ok(step) => step,
            Err(_) if brief => {
                waited = Some(BRIEF);
                continue;
            }
            Err(_) if waits_for_client => Err(Error::RequestTimeout),
            Err(_) => Err(Error::UpstreamTimeout),
        };
        match step {
            Ok(Step::Moved) => {}
            Ok(Step::Uploaded) => {
                uploaded = true;
                worker.scratch.set(upload.take_buffer());
            }
            // 100 is ours to say; the others are for clients that know what an interim answer is.
            Ok(Step::Interim(head))
                if head.status() != 100 && exchange.head.version() != http1::Version::Http10 =>
            {
                Box::pin(client.inform(&head)).await?;
                waited = Some(Duration::ZERO);
            }
            Ok(Step::Interim(_)) => waited = Some(Duration::ZERO),
            Ok(Step::Answered(head)) => break Ok(head),
            Err(error) => break Err(error),
        }
    };
    *progress = Progress {
        reused: upstream.reused,
        sent: !upload.nothing_was_sent(),
        consumed: upload.consumed(),
        answered: upstream.has_begun_to_answer(),
    };
    let head = answered?;
    exchange.waited_until = Some(worker.now());
    if head.status() == 101 && !exchange.asks_for_websocket() {
        return Err(Error::Response(http1::Error::StatusLine));
    }
    Ok(Answer {
        head,
        upstream,
        uploaded,
    })
}

/// The request head for an upstream which is called `host`, and whether a small body is behind it.
fn write_head(
    exchange: &Exchange,
    host: &str,
    body: &RequestBody,
) -> Result<(BytesMut, bool), Error> {
    let worker = &exchange.worker;
    let mut own = worker.own_lines.take();
    own.clear_for_writing();
    exchange.add_request_lines(host, &mut own)?;
    let mut out = worker.scratch.take();
    exchange
        .head
        .write_with(
            &own,
            &exchange.chosen()?.target,
            body.framing(),
            exchange.upstream_connection(),
            &mut out,
        )
        .map_err(|_| Error::Internal("a request head that cannot be written"))?;
    worker.own_lines.set(own);
    let mut copied = false;
    if let RequestBody::Memory { pieces, length } = body
        && *length <= COPIED as u64
    {
        copied = true;
        for piece in pieces {
            out.extend_from_slice(piece);
        }
    }
    Ok((out, copied))
}
