//! The headers of OpenTracing, with baggage in headers of its own.

use plugin_api::Headers;

use super::b3::{parse_span, width_of};
use super::baggage::Baggage;
use super::{Context, Outgoing, TraceId, Width, Written, flag, only};

const TRACE_ID: &str = "ot-tracer-traceid";
const SPAN_ID: &str = "ot-tracer-spanid";
const SAMPLED: &str = "ot-tracer-sampled";
const BAGGAGE: &str = "ot-baggage-";

pub fn extract(headers: &Headers) -> Option<Context> {
    let names = [TRACE_ID, SPAN_ID, SAMPLED];
    if !names.iter().any(|name| headers.contains(*name)) {
        return None;
    }
    let context = Context {
        sampled: only(headers, SAMPLED).and_then(flag),
        baggage: Baggage::extract(headers, BAGGAGE),
        ..Context::default()
    };
    Some(with_ids(headers, &context).unwrap_or(context))
}

/// The context with its ids; `None` if there is no trace id, or if one of the two is none.
fn with_ids(headers: &Headers, context: &Context) -> Option<Context> {
    let trace_id = only(headers, TRACE_ID)?;
    Some(Context {
        width: Some(width_of(trace_id)?),
        trace_id: Some(TraceId::parse(trace_id)?),
        span_id: match headers.contains(SPAN_ID) {
            true => Some(parse_span(only(headers, SPAN_ID)?)?),
            false => None,
        },
        ..context.clone()
    })
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let width = outgoing.width(&[Width::Eight, Width::Sixteen]);
    let trace_id = place.trace_id.hex(width);
    headers.set(TRACE_ID, &trace_id)?;
    headers.set(SPAN_ID, place.span_id.to_string())?;
    if let Some(sampled) = place.sampled {
        headers.set(SAMPLED, if sampled { "1" } else { "0" })?;
    }
    outgoing.context.baggage.inject(headers, BAGGAGE)?;
    Ok(trace_id)
}
