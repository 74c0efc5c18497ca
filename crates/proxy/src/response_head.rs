//! Phase *response head*: what of the upstream's head the client gets, and what we add to it.

use bytes::BytesMut;
use http1::{Connection, Field, Framing, Headers, Known, OwnLines, ResponseHead};

use crate::error::Error;
use crate::exchange::Exchange;
use crate::latency::{Decimal, Latency};

/// Edits the head of an upstream's answer: what concerned only us goes, what we say about the exchange comes.
pub(crate) fn edit(exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Error> {
    head.strip_hop_by_hop();
    let headers = &mut head.headers;
    exchange.unbuffered = remove_private(headers);
    let trailers_wanted = exchange.head.accepts_trailers();
    if !trailers_wanted {
        headers.remove(Known::Trailer);
    }
    let edited = keep_first_only(headers).and_then(|()| add_rare(exchange, headers));
    edited.map_err(cannot)?;
    exchange.filter_head(head)
}

/// Writes an edited head in HTTP/1's form, with what we say about the exchange.
pub(crate) fn write(
    exchange: &Exchange,
    head: &ResponseHead,
    framing: Framing,
    connection: Connection<'_>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    let mut own = exchange.worker.own_lines.take();
    own.clear();
    add_own(exchange, head, &mut own).map_err(cannot)?;
    head.write_with(&own, framing, connection, out)
        .map_err(cannot)?;
    exchange.worker.own_lines.set(own);
    Ok(())
}

/// Adds what we say about the exchange to an edited head that is not for [`write`].
pub(crate) fn finish(exchange: &Exchange, head: &mut ResponseHead) -> Result<(), Error> {
    let mut own = OwnLines::new();
    add_own(exchange, head, &mut own)
        .and_then(|()| own.apply(&mut head.headers))
        .map_err(cannot)
}

fn cannot(_: http1::Error) -> Error {
    Error::Internal("a response header that cannot be written")
}

/// Removes headers by which an upstream speaks to nginx alone; tells whether they forbid to buffer the answer.
fn remove_private(headers: &mut Headers) -> bool {
    let starts = |name: &[u8], start: &[u8]| {
        name.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let private = |field: &Field<'_>| {
        field.known == Known::Other
            && (starts(field.name, b"x-accel-") || field.name.eq_ignore_ascii_case(b"x-pad"))
    };
    // Perf: nearly all answers have none of them, and nothing is gathered then.
    if !headers.iter().any(|field| private(&field)) {
        return false;
    }
    let found = headers.iter().filter(private);
    let found: Vec<Vec<u8>> = found.map(|field| field.name.to_vec()).collect();
    let unbuffered = headers
        .get("x-accel-buffering")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"no"));
    for name in found {
        headers.remove(name.as_slice());
    }
    unbuffered
}

/// Compat: of a header that can only have one value, nginx keeps the first line.
fn keep_first_only(headers: &mut Headers) -> Result<(), http1::Error> {
    for known in [
        Known::ContentType,
        Known::Server,
        Known::Date,
        Known::Location,
    ] {
        if headers.is_repeated(known)
            && let Some(first) = headers.get(known).map(<[u8]>::to_vec)
        {
            headers.set(known, first)?;
        }
    }
    Ok(())
}

/// The type of text that does not name its charset, which nginx's `charset` then does.
fn without_charset<'a>(head: &'a ResponseHead, charset: &str) -> Option<&'a [u8]> {
    let kind = head.headers.get(Known::ContentType)?;
    lacks_charset(head.status(), kind, charset).then_some(kind)
}

/// Whether an answer with this status and media type gets the charset.
pub(crate) fn lacks_charset(status: u16, kind: &[u8], charset: &str) -> bool {
    const TEXTUAL: [&[u8]; 6] = [
        b"text/html",
        b"text/xml",
        b"text/plain",
        b"text/vnd.wap.wml",
        b"application/javascript",
        b"application/rss+xml",
    ];
    let mut textual = TEXTUAL.iter();
    !charset.is_empty()
        && !matches!(status, 301 | 302)
        && textual.any(|textual| kind.eq_ignore_ascii_case(textual))
}

/// Adds what few answers have.
fn add_rare(exchange: &Exchange, headers: &mut Headers) -> Result<(), http1::Error> {
    for (name, value) in exchange.debug_lines() {
        headers.set(name, value)?;
    }
    if let Some(cookie) = &exchange.set_cookie {
        headers.append(Known::SetCookie, cookie)?;
    }
    Ok(())
}

/// What we say about the exchange, whatever the upstream said.
fn add_own(
    exchange: &Exchange,
    head: &ResponseHead,
    own: &mut OwnLines,
) -> Result<(), http1::Error> {
    let settings = &exchange.published.settings;
    let (enabled, headers) = (settings.headers, &head.headers);
    let times = Latency::of(exchange);
    if let Some(kind) = without_charset(head, &settings.charset) {
        let charset = settings.charset.as_bytes();
        own.add_joined(Known::ContentType, &[kind, b"; charset=", charset])?;
    }
    if enabled.upstream_status {
        let status = Decimal::new(head.status().into());
        own.add(Known::XKongUpstreamStatus, status.as_ref())?;
    }
    if enabled.upstream_latency {
        let time = Decimal::new(times.upstream);
        own.add(Known::XKongUpstreamLatency, time.as_ref())?;
    }
    if enabled.proxy_latency {
        let time = Decimal::new(times.proxy);
        own.add(Known::XKongProxyLatency, time.as_ref())?;
    }
    if enabled.via {
        let grpc = exchange.is_grpc_upstream();
        let version: &[u8] = if grpc { b"2 " } else { b"1.1 " };
        match headers.get(Known::Via) {
            Some(so_far) => own.add_joined(
                Known::Via,
                &[so_far, b", ", version, &settings.server_token],
            )?,
            None if grpc => own.add_joined(Known::Via, &[version, &settings.server_token])?,
            None => own.add_all(&exchange.published.via),
        }
    }
    if enabled.server && !headers.contains(Known::Server) {
        own.add(Known::Server, &settings.server_token)?;
    }
    if enabled.request_id {
        own.add(Known::XKongRequestId, exchange.id.as_bytes())?;
    }
    if !headers.contains(Known::Date) {
        let mut date = Vec::with_capacity(32);
        exchange.worker.moment.write_http_date(&mut date);
        own.add(Known::Date, &date)?;
    }
    Ok(())
}
