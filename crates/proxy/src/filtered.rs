//! Answers that plugins change on their way: held as a whole for the phase *response*, or piece by piece for *body filter*.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http1::{Framing, Headers, ResponseHead};
use net::h2::RecvBody;
use plugin_api::Phase;

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::Answer;
use crate::held::Share;
use crate::http2_client::to_headers;
use crate::sink::Sink;
use crate::upstream::Http1Body;
use crate::{own_answer, response_body, response_head};

/// Sends an upstream's answer through the plugins to the client.
pub(crate) async fn send(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    mut answer: Answer,
    read_timeout: Duration,
) -> Result<(), Error> {
    let method = exchange.head.method().clone();
    let framing = answer.head.framing(&method);
    if framing == Framing::None {
        let mut nothing = Bytes::new();
        let replaced = exchange.respond(&mut answer.head, &mut nothing).await?;
        if let Some(reply) = replaced {
            return own_answer::send_plugin(exchange, client, *reply).await;
        }
        response_head::edit(exchange, &mut answer.head)?;
        exchange.filter_body(&mut nothing, true)?;
        return response_body::send(exchange, client, answer, read_timeout).await;
    }
    let Answer {
        head,
        upstream,
        uploaded,
    } = answer;
    let mut body = Body::Http1(upstream.body(&head, &method));
    if !uploaded {
        body.spoil();
        exchange.keep_alive = false;
    }
    let coming = Coming {
        head,
        framing,
        body,
        read_timeout,
    };
    match pass(exchange, Sink::of(client), coming).await? {
        Some(reply) => own_answer::send_plugin(exchange, client, *reply).await,
        None => Ok(()),
    }
}

/// An upstream's answer whose head has come.
pub(crate) struct Coming {
    pub head: ResponseHead,
    pub framing: Framing,
    pub body: Body,
    pub read_timeout: Duration,
}

/// Sends what comes through the plugins. An answer that one of them gives instead is handed back, and nothing was sent.
pub(crate) async fn pass(
    exchange: &mut Exchange,
    mut sink: Sink<'_>,
    coming: Coming,
) -> Result<Option<Box<plugin_api::Reply>>, Error> {
    let Coming {
        mut head,
        framing,
        mut body,
        read_timeout,
    } = coming;
    if exchange.has_phase(Phase::Response) {
        let limits = &exchange.published.settings.limits;
        let share = Share::new(&exchange.worker.stats.held, limits.held_bodies);
        let mut whole = read_whole(exchange, &mut body, read_timeout, &share).await?;
        let trailers = body.trailers(exchange, read_timeout).await?;
        body.finish(exchange);
        if let Some(reply) = exchange.respond(&mut head, &mut whole).await? {
            return Ok(Some(reply));
        }
        response_head::edit(exchange, &mut head)?;
        if drops_body(exchange) {
            whole.clear();
        }
        let trailers = filter_last(exchange, &mut whole, trailers)?;
        let framing = match &trailers {
            Some(_) => Framing::Chunked,
            None => Framing::Length(whole.len() as u64),
        };
        begin(exchange, &mut sink, head, framing).await?;
        end(exchange, &mut sink, framing, whole, trailers).await?;
        return Ok(None);
    }
    response_head::edit(exchange, &mut head)?;
    if drops_body(exchange) {
        exchange.filter_body(&mut Bytes::new(), true)?;
        begin(exchange, &mut sink, head, Framing::Length(0)).await?;
        body.skip(exchange, read_timeout).await;
        body.finish(exchange);
        return Ok(None);
    }
    let mut left = match (&body, framing) {
        (Body::Http1(_), Framing::Length(length)) => Some(length),
        _ => None,
    };
    let framing = match framing {
        Framing::Length(length) if !exchange.changes_length() => Framing::Length(length),
        _ => Framing::Chunked,
    };
    begin(exchange, &mut sink, head, framing).await?;
    if framing == Framing::Length(0) {
        exchange.filter_body(&mut Bytes::new(), true)?;
        body.finish(exchange);
        return Ok(None);
    }
    let mut rest = Bytes::new();
    while let Some(mut piece) = body.next(exchange, read_timeout).await? {
        left = left.map(|left| left.saturating_sub(piece.len() as u64));
        if left == Some(0) {
            // Nothing comes behind it. What plugins keep of the answer is kept before the client has all of it.
            rest = piece;
            continue;
        }
        exchange.filter_body(&mut piece, false)?;
        exchange.body_bytes += piece.len() as u64;
        sink.data(exchange, piece).await?;
    }
    let trailers = body.trailers(exchange, read_timeout).await?;
    let trailers = filter_last(exchange, &mut rest, trailers)?;
    end(exchange, &mut sink, framing, rest, trailers).await?;
    body.finish(exchange);
    Ok(None)
}

/// Gives the plugins the last piece with the trailers behind it; what they leave of these is to be sent.
fn filter_last(
    exchange: &mut Exchange,
    piece: &mut Bytes,
    trailers: Option<Headers>,
) -> Result<Option<Box<Headers>>, Error> {
    if let Some(plugged) = &mut exchange.plugged {
        plugged.work.trailers = trailers.map(Box::new);
    }
    exchange.filter_body(piece, true)?;
    let plugged = exchange.plugged.as_mut();
    Ok(plugged.and_then(|plugged| plugged.work.trailers.take()))
}

/// Sends the last piece and the end of the answer.
async fn end(
    exchange: &mut Exchange,
    sink: &mut Sink<'_>,
    framing: Framing,
    piece: Bytes,
    trailers: Option<Box<Headers>>,
) -> Result<(), Error> {
    if framing == Framing::Length(0) {
        return Ok(());
    }
    exchange.body_bytes += piece.len() as u64;
    sink.data(exchange, piece).await?;
    sink.finish(trailers.as_deref()).await
}

/// The body of an upstream's answer, whichever HTTP version brings it.
pub(crate) enum Body {
    Http1(Http1Body),
    Http2(RecvBody),
}

impl Body {
    /// The next piece; `None` at the end.
    pub async fn next(
        &mut self,
        exchange: &Exchange,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error> {
        let body = match self {
            Self::Http1(body) => body,
            Self::Http2(body) => {
                let piece = exchange.slot.within(timeout, pin!(body.data())).await;
                let piece = piece.map_err(|_| Error::Truncated)?;
                return piece.transpose().map_err(|_| Error::Truncated);
            }
        };
        loop {
            match body.arrived()? {
                Some(piece) => return Ok(piece),
                None => {
                    let read = exchange.slot.poll_within(timeout, |cx| body.poll_read(cx));
                    if !read.await.unwrap_or(Err(Error::Truncated))? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// What comes behind the last piece.
    pub async fn trailers(
        &mut self,
        exchange: &Exchange,
        timeout: Duration,
    ) -> Result<Option<Headers>, Error> {
        match self {
            Self::Http1(body) => Ok(body.take_trailers()),
            Self::Http2(body) => {
                let trailers = exchange.slot.within(timeout, pin!(body.trailers())).await;
                let trailers = trailers.map_err(|_| Error::Truncated)?;
                let trailers = trailers.map_err(|_| Error::Truncated)?;
                Ok(trailers.as_ref().map(to_headers))
            }
        }
    }

    /// Reads what is left of a body that nobody wants, if that is less than a new connection would cost.
    async fn skip(&mut self, exchange: &Exchange, timeout: Duration) {
        const LITTLE: usize = 64 << 10;
        // A stream that is dropped is reset, and costs its connection nothing.
        if matches!(self, Self::Http2(_)) {
            return;
        }
        let mut read = 0;
        loop {
            match self.next(exchange, timeout).await {
                Ok(None) => return,
                Ok(Some(piece)) if read < LITTLE => read += piece.len(),
                _ => return self.spoil(),
            }
        }
    }

    /// Keeps the connection from being used again.
    fn spoil(&mut self) {
        if let Self::Http1(body) = self {
            body.spoil();
        }
    }

    /// Gives the connection back, if it can be used again.
    fn finish(self, exchange: &Exchange) {
        if let Self::Http1(body) = self {
            body.finish(&exchange.worker);
        }
    }
}

/// Whether a plugin has said that the client gets no body.
fn drops_body(exchange: &Exchange) -> bool {
    let plugged = exchange.plugged.as_ref();
    plugged.is_some_and(|plugged| plugged.work.drops_body)
}

/// Sends the head, framed for the body that there is now.
async fn begin(
    exchange: &mut Exchange,
    sink: &mut Sink<'_>,
    edited: ResponseHead,
    framing: Framing,
) -> Result<(), Error> {
    let mut head = ResponseHead::new(edited.status(), framing);
    head.headers = edited.headers;
    response_head::finish(exchange, &mut head)?;
    exchange.status = Some(head.status());
    let empty = framing == Framing::Length(0);
    sink.begin(exchange, &head, framing, empty).await?;
    exchange.keep_sent(head, framing);
    Ok(())
}

/// The whole body, as far as memory allows.
async fn read_whole(
    exchange: &Exchange,
    body: &mut Body,
    timeout: Duration,
    share: &Share,
) -> Result<Bytes, Error> {
    /// The longest answer that is held for plugins.
    const MOST: usize = 64 << 20;
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next(exchange, timeout).await? {
        if whole.len() + piece.len() > MOST {
            return Err(Error::Internal(
                "an answer too long to be held for a plugin",
            ));
        }
        share.cover((whole.len() + piece.len()) as u64)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
