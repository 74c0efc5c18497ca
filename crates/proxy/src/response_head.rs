//! Phase *response head*: what of the upstream's head the client gets, and what we add to it.

use http1::{Headers, Known, ResponseHead};

use crate::error::Error;
use crate::exchange::Exchange;
use crate::latency::{Decimal, Latency};

/// Edits the head of an upstream's answer: what concerned only us goes, what we say about the exchange comes.
pub(crate) fn edit(exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Error> {
    head.strip_hop_by_hop();
    let status = head.status();
    let headers = &mut head.headers;
    exchange.unbuffered = remove_private(headers);
    let trailers_wanted = exchange.head.accepts_trailers();
    if !trailers_wanted {
        headers.remove(Known::Trailer);
    }
    let edited = keep_first_only(headers)
        .and_then(|()| add_charset(headers, status, &exchange.published.settings.charset))
        .and_then(|()| add_own(exchange, headers, status));
    edited.map_err(|_| Error::Internal("a response header that cannot be written"))
}

/// Removes headers by which an upstream speaks to nginx alone; tells whether they forbid to buffer the answer.
fn remove_private(headers: &mut Headers) -> bool {
    let starts = |name: &[u8], start: &[u8]| {
        name.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let private = |name: &[u8]| starts(name, b"x-accel-") || name.eq_ignore_ascii_case(b"x-pad");
    // Perf: nearly all answers have none of them, and nothing is allocated then.
    let found: Vec<Vec<u8>> = headers
        .iter()
        .filter(|field| field.known == Known::Other && private(field.name))
        .map(|field| field.name.to_vec())
        .collect();
    let unbuffered = !found.is_empty()
        && headers
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
    let times = Latency::of(exchange);
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
