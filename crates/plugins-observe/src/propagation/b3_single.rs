//! Zipkin's B3 context in one header, which may also stand in `tracestate`.

use plugin_api::Headers;

use super::b3::{parse_span, width_of};
use super::{Context, Format, Outgoing, TraceId, Width, Written, is_named, only};

const HEADER: &str = "b3";

/// Compat: a header that cannot be read is no context, but it says which format the upstream gets.
pub fn extract(headers: &Headers) -> Option<Context> {
    let text = match headers.contains(HEADER) {
        true => only(headers, HEADER)?,
        false => in_trace_state(headers)?,
    };
    let said = Context {
        shares_span: true,
        format: Some(Format::B3Single),
        ..Context::default()
    };
    Some(match state(text) {
        Some((sampled, debug)) => Context {
            sampled: Some(sampled),
            debug,
            ..said
        },
        None => with_ids(text, &said).unwrap_or(said),
    })
}

/// A member `b3` that a line of `tracestate` begins with.
fn in_trace_state(headers: &Headers) -> Option<&str> {
    let mut lines = headers.iter();
    let lines = lines
        .by_ref()
        .filter(|line| is_named(line.name, "tracestate"));
    let mut members = lines.filter_map(|line| line.value.strip_prefix(b"b3="));
    members.find_map(|member| std::str::from_utf8(member).ok())
}

/// `{trace id}-{span id}`, perhaps with a state and the id of the parent behind it.
fn with_ids(text: &str, said: &Context) -> Option<Context> {
    let mut parts = text.splitn(4, '-');
    let (trace_id, span_id) = (parts.next()?, parts.next()?);
    let (third, fourth) = (parts.next(), parts.next());
    let (given, parent) = match third {
        Some(third) if third.len() > 1 && fourth.is_none() => (None, Some(third)),
        third => (third, fourth),
    };
    let given = given.filter(|given| !given.is_empty());
    let decided = match given {
        Some(given) => Some(state(given)?),
        None => None,
    };
    let parent = parent.filter(|parent| !parent.is_empty());
    Some(Context {
        width: Some(width_of(trace_id)?),
        trace_id: Some(TraceId::parse(trace_id)?),
        span_id: Some(parse_span(span_id)?),
        parent_id: match parent {
            Some(parent) => Some(parse_span(parent)?),
            None => None,
        },
        sampled: decided.map(|(sampled, _)| sampled),
        debug: decided.is_some_and(|(_, debug)| debug),
        ..said.clone()
    })
}

/// Whether the trace is recorded, and whether that is for debugging.
fn state(text: &str) -> Option<(bool, bool)> {
    match text {
        "1" => Some((true, false)),
        "0" => Some((false, false)),
        "d" => Some((true, true)),
        _ => None,
    }
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let width = outgoing.width(&[Width::Sixteen, Width::Eight]);
    let trace_id = place.trace_id.hex(width);
    let mut text = format!("{trace_id}-{}", place.span_id);
    text.push_str(match place.sampled {
        _ if outgoing.context.debug => "-d",
        Some(true) => "-1",
        Some(false) => "-0",
        None => "",
    });
    if let Some(parent_id) = place.parent_id {
        text.push_str(&format!("-{parent_id}"));
    }
    headers.set(HEADER, text)?;
    Ok(trace_id)
}
