//! Phase *response head*: what of the upstream's head the client gets, and what we add to it.

use bytes::BytesMut;
use http1::{Connection, Field, Framing, Headers, Known, OwnLines, ResponseHead};

use crate::error::Error;
use crate::exchange::Exchange;
use crate::latency::Latency;
use crate::local::Current;

/// Edits the head of an upstream's answer: what concerned only us goes, what we say about the exchange comes.
pub(crate) fn edit(exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Error> {
    head.strip_hop_by_hop();
    let headers = &mut head.headers;
    exchange.unbuffered = remove_private(headers);
    if headers.contains(Known::Trailer) && !exchange.head.accepts_trailers() {
        headers.remove(Known::Trailer);
    }
    let edited = keep_first_only(headers).and_then(|()| add_rare(exchange, headers));
    edited.map_err(cannot)?;
    exchange.filter_head(head)
}

/// Writes an edited head in HTTP/1's form, with what we say about the exchange. If a handler wants to log the head, all
/// that was written is in it afterwards.
pub(crate) fn write(
    exchange: &Exchange,
    head: &mut ResponseHead,
    framing: Framing,
    connection: Connection<'_>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    let mut own = exchange.worker.own_lines.take();
    let logs_head = exchange.logs_head();
    match logs_head {
        true => own.clear(),
        false => own.clear_for_writing(),
    }
    add_own(exchange, head, &mut own).map_err(cannot)?;
    head.write_with(&own, framing, connection, out)
        .map_err(cannot)?;
    if logs_head {
        exchange
            .add_sent(framing, &mut own)
            .and_then(|()| own.apply(&mut head.headers))
            .map_err(cannot)?;
    }
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
    if !headers.may_contain(&[Known::Other]) || !headers.iter().any(|field| private(&field)) {
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
        Known::Etag,
        Known::LastModified,
    ] {
        if headers.is_repeated(known)
            && let Some(first) = headers.get(known).map(<[u8]>::to_vec)
        {
            headers.set(known, first)?;
        }
    }
    Ok(())
}

/// Media types of text, which get a charset if they come without one.
const TEXTUAL: [&[u8]; 6] = [
    b"text/html",
    b"text/xml",
    b"text/plain",
    b"text/vnd.wap.wml",
    b"application/javascript",
    b"application/rss+xml",
];

/// Which of the types of text an answer with this status and media type has, if it gets the charset.
fn textual(status: u16, kind: &[u8], charset: &str) -> Option<usize> {
    if charset.is_empty() || matches!(status, 301 | 302) {
        return None;
    }
    let mut types = TEXTUAL.iter();
    types.position(|textual| kind.eq_ignore_ascii_case(textual))
}

/// Whether an answer with this status and media type gets the charset.
pub(crate) fn lacks_charset(status: u16, kind: &[u8], charset: &str) -> bool {
    textual(status, kind, charset).is_some()
}

/// `Content-Type` with the charset for each type of text. Perf: prepared once.
pub(crate) fn charset_lines(charset: &str) -> [OwnLines; TEXTUAL.len()] {
    TEXTUAL.map(|kind| {
        let mut line = OwnLines::new();
        // Only a charset that is no header value is refused, and then a head that names it is.
        let _ = line.add_joined(
            Known::ContentType,
            &[kind, b"; charset=", charset.as_bytes()],
        );
        line
    })
}

/// Names the charset of text that does not name its own, as nginx's `charset` does.
fn add_charset(
    published: &Current,
    head: &ResponseHead,
    own: &mut OwnLines,
) -> Result<(), http1::Error> {
    let charset = &published.settings.charset;
    let Some(kind) = head.headers.get(Known::ContentType) else {
        return Ok(());
    };
    let Some(position) = textual(head.status(), kind, charset) else {
        return Ok(());
    };
    match published.charset_lines.get(position) {
        Some(line) if TEXTUAL.get(position) == Some(&kind) => own.add_all(line),
        _ => {
            let charset = charset.as_bytes();
            own.add_joined(Known::ContentType, &[kind, b"; charset=", charset])?;
        }
    }
    Ok(())
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
    add_charset(&exchange.published, head, own)?;
    if enabled.upstream_status {
        own.add_number(Known::XKongUpstreamStatus, head.status().into())?;
    }
    if enabled.upstream_latency {
        own.add_number(Known::XKongUpstreamLatency, times.upstream())?;
    }
    if enabled.proxy_latency {
        own.add_number(Known::XKongProxyLatency, times.proxy())?;
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
