//! The headers of Datadog, with ids in decimal digits.

use plugin_api::Headers;

use super::ids::number;
use super::{Context, Outgoing, SpanId, TraceId, Width, Written, only};

const TRACE_ID: &str = "x-datadog-trace-id";
const PARENT_ID: &str = "x-datadog-parent-id";
const PRIORITY: &str = "x-datadog-sampling-priority";

pub fn extract(headers: &Headers) -> Option<Context> {
    let sampled = match headers.contains(PRIORITY) {
        true => Some(match only(headers, PRIORITY)? {
            "1" | "2" => true,
            "0" | "-1" => false,
            _ => return None,
        }),
        false => None,
    };
    let trace_id = only(headers, TRACE_ID).and_then(|text| number(text, 10));
    let context = Context {
        sampled,
        ..Context::default()
    };
    let context = match trace_id {
        Some(trace_id) => Context {
            trace_id: TraceId::from_number(trace_id),
            width: Some(match u64::try_from(trace_id) {
                Ok(_) => Width::Eight,
                Err(_) => Width::Sixteen,
            }),
            span_id: only(headers, PARENT_ID).and_then(SpanId::parse_decimal),
            ..context
        },
        None => context,
    };
    (context.trace_id.is_some() || context.sampled.is_some()).then_some(context)
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let trace_id = place.trace_id.low().to_string();
    headers.set(TRACE_ID, &trace_id)?;
    headers.set(PARENT_ID, place.span_id.number().to_string())?;
    if let Some(sampled) = place.sampled {
        headers.set(PRIORITY, if sampled { "1" } else { "0" })?;
    }
    Ok(trace_id)
}
