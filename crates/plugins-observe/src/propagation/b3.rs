//! Zipkin's B3 headers, one for each part of the context; a context in a single header is read as well.

use plugin_api::Headers;

use super::{Context, Outgoing, SpanId, TraceId, Width, Written, b3_single, flag, only};

const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const PARENT_ID: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// The single header counts first; what it leaves open, the others say.
pub fn extract(headers: &Headers) -> Option<Context> {
    let (single, several) = (b3_single::extract(headers), extract_several(headers));
    let Some(single) = single else {
        return several;
    };
    let several = several.unwrap_or_default();
    let ids = match single.trace_id {
        Some(_) => &single,
        None => &several,
    };
    Some(Context {
        trace_id: ids.trace_id,
        width: ids.width,
        span_id: ids.span_id,
        parent_id: ids.parent_id,
        sampled: single.sampled.or(several.sampled),
        debug: single.debug || several.debug,
        ..single
    })
}

fn extract_several(headers: &Headers) -> Option<Context> {
    let names = [TRACE_ID, SPAN_ID, PARENT_ID, SAMPLED, FLAGS];
    if !names.iter().any(|name| headers.contains(*name)) {
        return None;
    }
    let debug = only(headers, FLAGS) == Some("1");
    let context = Context {
        shares_span: true,
        sampled: match debug {
            true => Some(true),
            false => only(headers, SAMPLED).and_then(flag),
        },
        debug,
        ..Context::default()
    };
    Some(with_ids(headers, &context).unwrap_or(context))
}

/// The context with its ids; `None` if there is no trace id, or if one of the ids is none.
fn with_ids(headers: &Headers, context: &Context) -> Option<Context> {
    let trace_id = only(headers, TRACE_ID)?;
    let span = |name: &str| match headers.contains(name) {
        true => parse_span(only(headers, name)?).map(Some),
        false => Some(None),
    };
    Some(Context {
        width: Some(width_of(trace_id)?),
        trace_id: Some(TraceId::parse(trace_id)?),
        span_id: span(SPAN_ID)?,
        parent_id: span(PARENT_ID)?,
        ..context.clone()
    })
}

/// The width of a trace id in hexadecimal digits, if it has one.
pub fn width_of(trace_id: &str) -> Option<Width> {
    match trace_id.len() {
        16 => Some(Width::Eight),
        32 => Some(Width::Sixteen),
        _ => None,
    }
}

/// A span id of exactly sixteen digits.
pub fn parse_span(text: &str) -> Option<SpanId> {
    SpanId::parse(text).filter(|_| text.len() == 16)
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let width = outgoing.width(&[Width::Sixteen, Width::Eight]);
    let trace_id = place.trace_id.hex(width);
    headers.set(TRACE_ID, &trace_id)?;
    headers.set(SPAN_ID, place.span_id.to_string())?;
    match place.parent_id {
        Some(parent_id) => headers.set(PARENT_ID, parent_id.to_string())?,
        None => headers.remove(PARENT_ID),
    }
    match outgoing.context.debug {
        true => headers.set(FLAGS, "1")?,
        // Compat: no decision is written as a negative one.
        false => headers.set(
            SAMPLED,
            if place.sampled == Some(true) {
                "1"
            } else {
                "0"
            },
        )?,
    }
    Ok(trace_id)
}
