//! `traceparent` of W3C Trace Context.

use plugin_api::Headers;

use super::{Context, Outgoing, SpanId, TraceId, Width, Written, only};

const HEADER: &str = "traceparent";

/// Compat: version 00 only.
pub fn extract(headers: &Headers) -> Option<Context> {
    let parts: Vec<&str> = only(headers, HEADER)?.split('-').collect();
    let &["00", trace_id, span_id, flags] = parts.as_slice() else {
        return None;
    };
    if (trace_id.len(), span_id.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    Some(Context {
        trace_id: Some(TraceId::parse(trace_id)?),
        width: Some(Width::Sixteen),
        span_id: Some(SpanId::parse(span_id)?),
        sampled: Some(super::ids::number(flags, 16)? & 1 == 1),
        ..Context::default()
    })
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let trace_id = place.trace_id.hex(Width::Sixteen);
    let flags = u8::from(place.sampled == Some(true));
    headers.set(
        HEADER,
        format!("00-{trace_id}-{}-{flags:02x}", place.span_id),
    )?;
    Ok(trace_id)
}
