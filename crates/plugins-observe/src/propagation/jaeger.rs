//! `uber-trace-id` of Jaeger, with baggage in headers of its own.

use plugin_api::Headers;

use super::baggage::Baggage;
use super::ids::number;
use super::{Context, Outgoing, SpanId, TraceId, Width, Written, only};

const HEADER: &str = "uber-trace-id";
const BAGGAGE: &str = "uberctx-";

/// `{trace id}:{span id}:{parent id}:{flags}`, without the zeros that ids begin with.
pub fn extract(headers: &Headers) -> Option<Context> {
    let parts: Vec<&str> = only(headers, HEADER)?.split(':').collect();
    let &[trace_id, span_id, parent_id, flags] = parts.as_slice() else {
        return None;
    };
    if trace_id.is_empty() || span_id.is_empty() || parent_id.is_empty() {
        return None;
    }
    if !matches!(flags.len(), 1 | 2) || number(parent_id, 16).is_none() {
        return None;
    }
    Some(Context {
        trace_id: Some(TraceId::parse(trace_id)?),
        width: Some(match trace_id.len() {
            ..=16 => Width::Eight,
            _ => Width::Sixteen,
        }),
        span_id: Some(SpanId::parse(span_id)?),
        parent_id: SpanId::parse(parent_id),
        shares_span: true,
        sampled: Some(number(flags, 16)? & 1 == 1),
        baggage: Baggage::extract(headers, BAGGAGE),
        ..Context::default()
    })
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let width = outgoing.width(&[Width::Sixteen, Width::Eight]);
    let trace_id = place.trace_id.hex(width);
    let parent_id = match place.parent_id {
        Some(parent_id) => parent_id.to_string(),
        None => "0".to_owned(),
    };
    let flags = u8::from(place.sampled == Some(true));
    let text = format!("{trace_id}:{}:{parent_id}:{flags:02x}", place.span_id);
    headers.set(HEADER, text)?;
    outgoing.context.baggage.inject(headers, BAGGAGE)?;
    Ok(trace_id)
}
