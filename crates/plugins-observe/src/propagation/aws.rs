//! `X-Amzn-Trace-Id` of AWS X-Ray.

use plugin_api::Headers;

use super::b3::parse_span;
use super::{Context, Outgoing, TraceId, Width, Written, only};

const HEADER: &str = "x-amzn-trace-id";

/// `Root={trace id};Parent={span id};Sampled={0 or 1}` in any order; other members are passed over.
pub fn extract(headers: &Headers) -> Option<Context> {
    let mut context = Context::default();
    for member in only(headers, HEADER)?.split(';') {
        let Some((name, value)) = member.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match name.trim() {
            "Root" => {
                context.trace_id = Some(parse_root(value)?);
                context.width = Some(Width::Sixteen);
            }
            "Parent" => context.span_id = Some(parse_span(value)?),
            "Sampled" => {
                context.sampled = Some(match value {
                    "1" => true,
                    "0" => false,
                    _ => return None,
                });
            }
            _ => {}
        }
    }
    (context != Context::default()).then_some(context)
}

/// `1-{8 digits}-{24 digits}`.
fn parse_root(text: &str) -> Option<TraceId> {
    let (seconds, rest) = text.strip_prefix("1-")?.split_once('-')?;
    if (seconds.len(), rest.len()) != (8, 24) {
        return None;
    }
    TraceId::parse(&format!("{seconds}{rest}"))
}

pub fn inject(outgoing: &Outgoing<'_>, headers: &mut Headers) -> Written {
    let place = &outgoing.place;
    let trace_id = place.trace_id.hex(Width::Sixteen);
    let (seconds, rest) = trace_id.split_at(8);
    let sampled = u8::from(place.sampled == Some(true));
    let text = format!(
        "Root=1-{seconds}-{rest};Parent={};Sampled={sampled}",
        place.span_id
    );
    headers.set(HEADER, text)?;
    Ok(trace_id)
}
