//! Answers of the gateway itself on their way to the client.

use std::io::{IoSlice, Write as _};

use bytes::Bytes;
use http1::{Framing, Known, Method, ResponseHead};
use plugin_api::Source;

use crate::client::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::http2_client::AnswerStream;
use crate::latency::{Decimal, Latency};
use crate::local::Local;
use crate::published::Published;
use crate::reply::Reply;
use crate::request_id::RequestId;
use crate::response_head::lacks_charset;

/// Sends an answer of ours.
pub(crate) async fn send(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    mut reply: Reply,
) -> Result<(), Error> {
    let mut times = Latency::of(exchange);
    if let Some(waited) = exchange.waited_elsewhere() {
        times.leave_out(waited);
    }
    let debug = exchange.debug_lines().into_iter();
    let debug = debug.map(|(name, value)| (name.into(), value.into_bytes().into()));
    reply.headers.extend(debug);
    if exchange.plugged.is_some() {
        reply = filter(exchange, reply);
    }
    add_charset(&mut reply, &exchange.published.settings.charset);
    let status = reply.status;
    let stamp = Stamp {
        proxied: exchange.forwarded.is_some() || exchange.source == Source::Service,
        times: Some(times),
        upstream_status: exchange.forwarded.map(|_| status),
    };
    exchange.status = Some(status);
    let is_head = *exchange.head.method() == Method::Head;
    if !is_head {
        exchange.body_bytes = reply.body.len() as u64;
    }
    if exchange.logs_head() {
        keep(exchange, &reply, &stamp, !is_head);
    }
    match client {
        Client::Http1(client) => {
            exchange.keep_alive &= !exchange.worker.is_draining();
            let bytes = write_http1(
                &exchange.worker,
                &exchange.published,
                &reply,
                &exchange.id,
                &stamp,
                exchange.keep_alive,
                !is_head,
            );
            exchange.sent_bytes = bytes.len() as u64;
            client.write(&mut [IoSlice::new(&bytes)]).await
        }
        Client::Http2(client) => {
            send_http2(
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

/// Sends an answer of a plugin.
pub(crate) async fn send_plugin(
    exchange: &mut Exchange,
    client: &mut Client<'_>,
    reply: plugin_api::Reply,
) -> Result<(), Error> {
    let target = exchange.target();
    let asked = exchange.asked(&target);
    let source = match reply.replayed {
        true => Source::Service,
        false => Source::Exit,
    };
    let reply = Reply::of_plugin(reply, &asked, &exchange.published.settings, &exchange.id);
    if let Client::Http1(client) = client {
        exchange.keep_alive &= client.can_drain_body();
    }
    exchange.source = source;
    send(exchange, client, reply).await
}

/// Gives the plugins their turns at an answer that no upstream made. One that fails here has had its say: the answer goes
/// out as it is.
fn filter(exchange: &mut Exchange, reply: Reply) -> Reply {
    let mut body = Bytes::from(reply.body);
    let mut head = ResponseHead::new(reply.status, Framing::Length(body.len() as u64));
    for (name, value) in &reply.headers {
        // Every value is ours or was checked when it was read; one that is refused here is left out.
        let _ = head.headers.append(&**name, value);
    }
    let filtered = exchange
        .filter_head(&mut head)
        .and_then(|()| exchange.filter_body(&mut body, true));
    if filtered.is_err() {
        tracing::debug!(request_id = %exchange.id, "an answer of the gateway is not filtered to its end");
    }
    let headers = head.headers.iter().map(|field| {
        let name = String::from_utf8_lossy(field.name).into_owned();
        (name.into(), field.value.to_vec().into())
    });
    let reply = Reply {
        status: head.status(),
        headers: headers.collect(),
        body: body.into(),
    };
    head.recycle(&exchange.worker.buffers);
    reply
}

/// Keeps the head of an answer for whoever logs it.
fn keep(exchange: &mut Exchange, reply: &Reply, stamp: &Stamp, with_body: bool) {
    let framing = framing(reply, with_body);
    let mut head = ResponseHead::new(reply.status, framing);
    // Every value is ours or was checked when it was read; one that is refused here is left out.
    for (name, value) in &reply.headers {
        let _ = head.headers.append(&**name, value);
    }
    stamp.headers(&exchange.published, reply, &exchange.id, |name, value| {
        let _ = head.headers.append(name, value);
    });
    exchange.keep_sent(head, framing);
}

/// Compat: as nginx does, the charset is added to text that does not name its own.
fn add_charset(reply: &mut Reply, charset: &str) {
    let status = reply.status;
    let mut headers = reply.headers.iter_mut();
    let kind = headers.find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
    if let Some((_, kind)) = kind
        && lacks_charset(status, kind, charset)
    {
        *kind = [kind, &b"; charset="[..], charset.as_bytes()]
            .concat()
            .into();
    }
}

/// What an answer of ours says about the exchange.
pub(crate) struct Stamp {
    proxied: bool,
    /// None for what took no time.
    times: Option<Latency>,
    upstream_status: Option<u16>,
}

impl Stamp {
    /// For an answer to what never became an exchange.
    pub fn at_once() -> Self {
        Self {
            proxied: false,
            times: None,
            upstream_status: None,
        }
    }

    fn headers(
        &self,
        published: &Published,
        reply: &Reply,
        id: &RequestId,
        mut add: impl FnMut(&'static str, &[u8]),
    ) {
        let enabled = published.settings.headers;
        let token = &published.settings.server_token;
        let time = |of: fn(&Latency) -> u64| Decimal::new(self.times.as_ref().map_or(0, of));
        if self.proxied {
            if let Some(status) = self.upstream_status.filter(|_| enabled.upstream_status) {
                add(
                    "X-Kong-Upstream-Status",
                    Decimal::new(status.into()).as_ref(),
                );
            }
            if enabled.upstream_latency {
                add("X-Kong-Upstream-Latency", time(Latency::upstream).as_ref());
            }
            if enabled.proxy_latency {
                add("X-Kong-Proxy-Latency", time(Latency::proxy).as_ref());
            }
            if enabled.via {
                add("Via", &[b"1.1 ", &token[..]].concat());
            }
        } else if enabled.response_latency {
            add("X-Kong-Response-Latency", time(Latency::total).as_ref());
        }
        if enabled.server && !(self.proxied && reply.says("Server")) {
            add("Server", token);
        }
        if enabled.request_id {
            add("X-Kong-Request-Id", id.as_bytes());
        }
    }
}

/// An answer of ours in HTTP/1's form.
pub(crate) fn write_http1(
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
    if let Framing::Length(length) = framing(reply, with_body) {
        let _ = write!(out, "\r\nContent-Length: {length}");
    }
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let _ = write!(out, "\r\nConnection: {connection}\r\n");
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
        if !is_framing(name) {
            line(name, value);
        }
    }
    stamp.headers(published, reply, id, &mut line);
    out.extend_from_slice(b"\r\n");
    if with_body {
        out.extend_from_slice(&reply.body);
    }
    out
}

/// How the end of an answer is told: by its length, unless its status says that there is no body.
fn framing(reply: &Reply, with_body: bool) -> Framing {
    match reply.length(with_body) {
        0 if reply.status == 204 => Framing::None,
        length => Framing::Length(length),
    }
}

/// Whether a header says where the body ends; only we say that.
fn is_framing(name: &str) -> bool {
    ["Content-Length", "Transfer-Encoding"]
        .iter()
        .any(|framing| framing.eq_ignore_ascii_case(name))
}

/// An answer of ours over HTTP/2.
pub(crate) async fn send_http2(
    worker: &Local,
    published: &Published,
    client: &mut AnswerStream,
    reply: Reply,
    id: &RequestId,
    stamp: &Stamp,
    is_head: bool,
) -> Result<(), Error> {
    let framing = framing(&reply, !is_head);
    let mut head = ResponseHead::new(reply.status, framing);
    let mut date = Vec::new();
    worker.moment.write_http_date(&mut date);
    // Every value is ours or was checked when it was read; one that is refused here is left out.
    let _ = head.headers.append(Known::Date, date);
    for (name, value) in &reply.headers {
        if !is_framing(name) {
            let _ = head.headers.append(&**name, value);
        }
    }
    stamp.headers(published, &reply, id, |name, value| {
        let _ = head.headers.append(name, value);
    });
    let end = is_head || reply.body.is_empty();
    client.begin(&head, framing, end)?;
    if end {
        Ok(())
    } else {
        client.data(Bytes::from(reply.body), true).await
    }
}
