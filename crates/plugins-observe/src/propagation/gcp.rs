//! `X-Cloud-Trace-Context` of Google Cloud.

use plugin_api::Headers;

use super::{Context, Outgoing, SpanId, TraceId, Width, Written, only};

const HEADER: &str = "x-cloud-trace-context";

/// `{trace id}/{span id in decimal digits}`, perhaps with `;o={flags}` behind it.
pub fn extract(headers: &Headers) -> Option<Context> {
    let (trace_id, rest) = only(headers, HEADER)?.split_once('/')?;
    let (span_id, flags) = match rest.split_once(";o=") {
        Some((span_id, flags)) => (span_id, Some(flags)),
        None => (rest, None),
    };
    let is_lower = !trace_id.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_flag = |flags: &str| flags.len() == 1 && flags.bytes().all(|b| b.is_ascii_digit());
    if trace_id.len() != 32 || !is_lower || !flags.is_none_or(is_flag) {
        return None;
    }
    Some(Context {
        trace_id: Some(TraceId::parse(trace_id)?),
        width: Some(Width::Sixteen),
        span_id: Some(SpanId::parse_decimal(span_id)?),
        // Compat: no flags say that the trace is not recorded.
        sampled: Some(flags == Some("1")),
        ..Context::default()
    })
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let trace_id = place.trace_id.hex(Width::Sixteen);
    let sampled = u8::from(place.sampled == Some(true));
    let span_id = place.span_id.number();
    headers.set(HEADER, format!("{trace_id}/{span_id};o={sampled}"))?;
    Ok(trace_id)
}
