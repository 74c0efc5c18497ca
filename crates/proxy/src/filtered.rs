//! Answers that plugins change on their way: held as a whole for the phase *response*, or piece by piece for *body filter*.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http1::{Framing, ResponseHead};
use plugin_api::Phase;

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::Answer;
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
        mut head,
        upstream,
        uploaded,
    } = answer;
    let mut body = upstream.body(&head, &method);
    if !uploaded {
        body.spoil();
        exchange.keep_alive = false;
    }
    if exchange.has_phase(Phase::Response) {
        let mut whole = read_whole(exchange, &mut body, read_timeout).await?;
        body.finish(&exchange.worker);
        if let Some(reply) = exchange.respond(&mut head, &mut whole).await? {
            return own_answer::send_plugin(exchange, client, *reply).await;
        }
        response_head::edit(exchange, &mut head)?;
        if drops_body(exchange) {
            whole.clear();
        }
        exchange.filter_body(&mut whole, true)?;
        let mut sink = Sink::of(client);
        let length = whole.len() as u64;
        begin(exchange, &mut sink, head, Framing::Length(length)).await?;
        exchange.body_bytes = length;
        sink.data(exchange, whole).await?;
        return if length == 0 {
            Ok(())
        } else {
            sink.finish(None).await
        };
    }
    response_head::edit(exchange, &mut head)?;
    if drops_body(exchange) {
        exchange.filter_body(&mut Bytes::new(), true)?;
        begin(exchange, &mut Sink::of(client), head, Framing::Length(0)).await?;
        skip(exchange, &mut body, read_timeout).await;
        body.finish(&exchange.worker);
        return Ok(());
    }
    let framing = match framing {
        Framing::Length(length) if !exchange.changes_length() => Framing::Length(length),
        _ => Framing::Chunked,
    };
    let mut sink = Sink::of(client);
    begin(exchange, &mut sink, head, framing).await?;
    if framing == Framing::Length(0) {
        return exchange.filter_body(&mut Bytes::new(), true);
    }
    while let Some(mut piece) = next(exchange, &mut body, read_timeout).await? {
        exchange.filter_body(&mut piece, false)?;
        exchange.body_bytes += piece.len() as u64;
        sink.data(exchange, piece).await?;
    }
    let mut rest = Bytes::new();
    exchange.filter_body(&mut rest, true)?;
    exchange.body_bytes += rest.len() as u64;
    sink.data(exchange, rest).await?;
    sink.finish(body.take_trailers().as_ref()).await?;
    body.finish(&exchange.worker);
    Ok(())
}

/// Whether a plugin has said that the client gets no body.
fn drops_body(exchange: &Exchange) -> bool {
    let plugged = exchange.plugged.as_ref();
    plugged.is_some_and(|plugged| plugged.work.drops_body)
}

/// Reads what is left of a body that nobody wants, if that is less than a new connection would cost.
async fn skip(exchange: &Exchange, body: &mut Http1Body, timeout: Duration) {
    const LITTLE: usize = 64 << 10;
    let mut read = 0;
    loop {
        match next(exchange, body, timeout).await {
            Ok(None) => return,
            Ok(Some(piece)) if read < LITTLE => read += piece.len(),
            _ => return body.spoil(),
        }
    }
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
    body: &mut Http1Body,
    timeout: Duration,
) -> Result<Bytes, Error> {
    /// The longest answer that is held for plugins.
    const MOST: usize = 64 << 20;
    let mut whole = BytesMut::new();
    while let Some(piece) = next(exchange, body, timeout).await? {
        if whole.len() + piece.len() > MOST {
            return Err(Error::Internal(
                "an answer too long to be held for a plugin",
            ));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The next piece of the body; `None` at its end.
async fn next(
    exchange: &Exchange,
    body: &mut Http1Body,
    timeout: Duration,
) -> Result<Option<Bytes>, Error> {
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
