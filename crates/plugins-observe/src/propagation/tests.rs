use plugin_api::testing::Sample;
use plugin_api::{Configured, Exchange};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const FORMATS: [Format; 8] = [
    Format::W3c,
    Format::B3,
    Format::B3Single,
    Format::Jaeger,
    Format::Ot,
    Format::Aws,
    Format::Gcp,
    Format::Datadog,
];

/// A request with headers of these lines.
fn sample(lines: &[(&str, &str)]) -> Sample {
    Sample::new("GET", "/", lines)
}

fn propagation(config: Value) -> Propagation {
    let record = Configured {
        id: Uuid::nil(),
        instance_name: None,
        route: None,
        service: None,
        consumer: None,
        config: config.as_object().unwrap(),
    };
    Propagation::read(&record).unwrap()
}

fn place(trace_id: u128, span_id: u64, sampled: Option<bool>) -> Place {
    Place {
        trace_id: TraceId::from_number(trace_id).unwrap(),
        span_id: SpanId::from_number(span_id).unwrap(),
        parent_id: SpanId::from_number(span_id / 2),
        sampled,
    }
}

/// The headers that the upstream gets.
fn lines(exchange: &Exchange<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = exchange.head.headers.iter();
    let lines = lines.map(|line| (text(line.name).to_lowercase(), text(line.value)));
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

/// What the upstream gets of a request with these headers, by default of a record with this `config`.
fn passed_on(config: Value, came: &[(&str, &str)]) -> Vec<(String, String)> {
    let propagation = propagation(config);
    let mut sample = sample(came);
    let mut exchange = sample.exchange();
    let context = propagation.extract(&exchange.head.headers);
    let place = Place {
        trace_id: context.trace_id.or(TraceId::from_number(0xabc)).unwrap(),
        span_id: SpanId::from_number(0x77).unwrap(),
        parent_id: context.span_id,
        sampled: context.sampled,
    };
    propagation.inject(&mut exchange, &context, place).unwrap();
    lines(&exchange)
}

fn named(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    lines.iter().map(owned).collect()
}

#[test]
fn every_format_is_read_as_its_specification_writes_it() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let single = format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90");
    let state = format!("b3={TRACE}-{SPAN}-1");
    let uber = format!("{TRACE}:f067aa0ba902b7:0:1");
    let amazon = format!(
        "Root=1-{}-{};Parent={SPAN};Sampled=1",
        &TRACE[..8],
        &TRACE[8..]
    );
    let cloud = format!("{TRACE}/67667974448284343;o=1");
    for (format, came) in [
        (Format::W3c, vec![("traceparent", &*traceparent)]),
        (Format::B3, vec![("B3", &*single)]),
        (
            Format::B3,
            vec![("tracestate", "a=1"), ("tracestate", &*state)],
        ),
        (
            Format::B3,
            vec![
                ("X-B3-TraceId", TRACE),
                ("X-B3-SpanId", SPAN),
                ("X-B3-Flags", "1"),
            ],
        ),
        (Format::Jaeger, vec![("uber-trace-id", &*uber)]),
        (
            Format::Ot,
            vec![
                ("ot-tracer-traceid", TRACE),
                ("ot-tracer-spanid", SPAN),
                ("ot-tracer-sampled", "true"),
            ],
        ),
        (Format::Aws, vec![("X-Amzn-Trace-Id", &*amazon)]),
        (Format::Gcp, vec![("X-Cloud-Trace-Context", &*cloud)]),
    ] {
        let context = format.extract(&sample(&came).head.headers).unwrap();
        assert_eq!(context.trace_id, TraceId::parse(TRACE), "{came:?}");
        assert_eq!(context.span_id, SpanId::parse(SPAN), "{came:?}");
        assert_eq!(context.sampled, Some(true), "{came:?}");
    }
    let datadog = [
        ("x-datadog-trace-id", "11803532876627986230"),
        ("x-datadog-parent-id", "67667974448284343"),
        ("x-datadog-sampling-priority", "-1"),
    ];
    let context = Format::Datadog
        .extract(&sample(&datadog).head.headers)
        .unwrap();
    assert_eq!(context.trace_id, TraceId::parse(&TRACE[16..]));
    assert_eq!(context.span_id, SpanId::parse(SPAN));
    assert_eq!(context.sampled, Some(false));
}

#[test]
fn what_is_not_exactly_of_its_format_is_no_context() {
    let zeros = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let cut = format!("00-{TRACE}-{SPAN}");
    let later = format!("01-{TRACE}-{SPAN}-01");
    let signed = format!("00-+{}-{SPAN}-01", &TRACE[1..]);
    let amazon = format!("Root=2-{}-{}", &TRACE[..8], &TRACE[8..]);
    let cloud = format!("{TRACE}/99999999999999999999;o=1");
    let good = format!("00-{TRACE}-{SPAN}-01");
    for came in [
        vec![("traceparent", &*zeros)],
        vec![("traceparent", &*cut)],
        vec![("traceparent", &*later)],
        vec![("traceparent", &*signed)],
        vec![("traceparent", &*good), ("Traceparent", &*good)],
        vec![("uber-trace-id", "::0:1")],
        vec![("x-amzn-trace-id", &*amazon)],
        vec![("x-cloud-trace-context", &*cloud)],
        vec![("x-datadog-trace-id", "-1")],
        vec![("tracestate", "vendor=1")],
    ] {
        let headers = &sample(&came).head.headers;
        let found = FORMATS
            .into_iter()
            .find_map(|format| format.extract(headers));
        assert_eq!(found, None, "{came:?}");
    }
    // A decision without ids is one nevertheless.
    let came = [("X-B3-TraceId", "short"), ("X-B3-Sampled", "0")];
    let context = Format::B3.extract(&sample(&came).head.headers).unwrap();
    assert_eq!((context.trace_id, context.sampled), (None, Some(false)));
}

#[test]
fn by_default_the_format_of_the_client_is_kept() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let config = json!({ "header_type": "preserve", "propagation": { "default_format": "w3c" } });
    assert_eq!(
        passed_on(config.clone(), &[("traceparent", &traceparent)]),
        named(&[("traceparent", &format!("00-{TRACE}-0000000000000077-01"))])
    );
    assert_eq!(
        passed_on(config.clone(), &[("b3", "0")]),
        named(&[("b3", "00000000000000000000000000000abc-0000000000000077-0")])
    );
    assert_eq!(
        passed_on(config, &[]),
        named(&[(
            "traceparent",
            "00-00000000000000000000000000000abc-0000000000000077-00"
        )])
    );
}

#[test]
fn older_fields_choose_formats_unless_newer_ones_do() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let came = [("traceparent", &*traceparent)];
    let passed = |config: Value| {
        let names = passed_on(config, &came).into_iter().map(|(name, _)| name);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        passed(json!({ "header_type": "jaeger", "default_header_type": "b3" })),
        "traceparent uber-trace-id"
    );
    assert_eq!(
        passed(json!({ "header_type": "ignore", "default_header_type": "ot" })),
        "ot-tracer-spanid ot-tracer-traceid traceparent"
    );
    let newer = json!({
        "extract": ["w3c"], "inject": ["aws"], "clear": ["TraceParent"], "default_format": "b3",
    });
    let config = json!({ "header_type": "jaeger", "propagation": newer });
    assert_eq!(passed(config), "x-amzn-trace-id");
    let config = json!({
        "header_type": "ignore",
        "default_header_type": "b3",
        "propagation": { "default_format": "gcp" },
    });
    assert_eq!(passed(config), "traceparent x-cloud-trace-context");
}

#[test]
fn the_width_of_a_trace_id_is_kept_where_the_format_allows_it() {
    let short = &TRACE[16..];
    let came = [("ot-tracer-traceid", short), ("ot-tracer-spanid", SPAN)];
    let inject = ["ot", "b3-single", "w3c"];
    let config = json!({ "propagation": { "extract": ["ot"], "inject": inject } });
    let lines = passed_on(config, &came);
    let value = |name: &str| {
        let found = lines.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(value("ot-tracer-traceid"), short);
    assert_eq!(value("b3"), format!("{short}-0000000000000077-{SPAN}"));
    let padded = format!("00-0000000000000000{short}-0000000000000077-00");
    assert_eq!(value("traceparent"), padded);
}

#[test]
fn the_log_entry_tells_the_trace_id_in_every_format() {
    let config = json!({ "propagation": { "inject": ["w3c", "b3", "datadog"] } });
    let mut sample = sample(&[]);
    let mut exchange = sample.exchange();
    let place = place(0x1f, 1, None);
    let context = Context::default();
    propagation(config)
        .inject(&mut exchange, &context, place)
        .unwrap();
    let mut entry = serde_json::Map::new();
    for edit in &sample.work.log_edits {
        edit.apply(&mut entry);
    }
    let long = "0000000000000000000000000000001f";
    let expected = json!({ "w3c": long, "b3": long, "datadog": "31" });
    assert_eq!(entry["trace_id"], expected);
}

#[test]
fn baggage_is_passed_on_percent_encoded_and_bounded() {
    let uber = format!("{TRACE}:{SPAN}:0:1");
    let names: Vec<String> = (0..200).map(|number| format!("uberctx-{number}")).collect();
    let mut came = vec![("uber-trace-id", &*uber), ("Uberctx-User", "a%20b\tc\"")];
    came.extend(names.iter().map(|name| (&**name, "x")));
    let mut sample = sample(&came);
    let context = Format::Jaeger.extract(&sample.head.headers).unwrap();
    let config = json!({ "propagation": { "inject": ["ot"] } });
    let place = place(1, 1, None);
    let mut exchange = sample.exchange();
    propagation(config)
        .inject(&mut exchange, &context, place)
        .unwrap();
    let headers = &sample.head.headers;
    assert_eq!(headers.get_str("ot-baggage-user"), Some("a%20b%09c%22"));
    let is_baggage = headers
        .iter()
        .filter(|line| line.name.starts_with(b"ot-baggage"));
    assert_eq!(is_baggage.count(), 100);
}

proptest! {
    #[test]
    fn what_is_injected_is_extracted_again(
        at in 0..FORMATS.len(),
        trace_id in 1_u128..,
        span_id in 2_u64..,
        sampled in any::<bool>(),
    ) {
        let format = FORMATS[at];
        // These write eight bytes of a trace that is new.
        let trace_id = match format {
            Format::Ot | Format::Datadog => u128::from((trace_id as u64).max(1)),
            _ => trace_id,
        };
        let place = place(trace_id, span_id, Some(sampled));
        let mut sample = sample(&[]);
        let context = Context::default();
        format.inject(&Outgoing { place, context: &context }, &mut sample.head.headers).unwrap();
        let found = format.extract(&sample.head.headers).unwrap();
        prop_assert_eq!(found.trace_id, Some(place.trace_id));
        prop_assert_eq!(found.span_id, Some(place.span_id));
        prop_assert_eq!(found.sampled, Some(sampled));
        if let Some(parent_id) = found.parent_id {
            prop_assert_eq!(Some(parent_id), place.parent_id);
        }
    }

    #[test]
    fn hostile_headers_are_read_and_passed_on_without_harm(
        values in proptest::collection::vec(hostile_value(), NAMES.len()),
        inject in 0..FORMATS.len(),
    ) {
        let came: Vec<_> = NAMES.iter().copied().zip(values.iter().map(|value| &**value)).collect();
        let mut sample = sample(&came);
        for format in FORMATS {
            let Some(context) = format.extract(&sample.head.headers) else { continue };
            let outgoing = Outgoing { place: place(1, 1, context.sampled), context: &context };
            let written = FORMATS[inject].inject(&outgoing, &mut sample.head.headers);
            prop_assert!(written.is_ok());
        }
    }
}

const NAMES: [&str; 19] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "uberctx-a",
    "ot-tracer-traceid",
    "ot-tracer-spanid",
    "ot-tracer-sampled",
    "ot-baggage-a",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
];

/// Anything that a header may hold, and things that look almost right.
fn hostile_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~äß€]{0,60}",
        "[0-9a-fA-F]{0,40}",
        "([0-9a-f]{0,33}[-:/;=+]?){0,6}",
        "(1|0|d|true|2|-1|00-|Root=|Parent=|Sampled=|;o=|b3=|%[0-9a-f]?|:|/|-){0,8}",
        "[0-9]{0,50}",
    ]
}
