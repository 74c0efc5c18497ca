//! The plugin with its server played by the test.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::testing::{FakeLog, FakeRecords};
use plugin_api::{HttpRequest, LogLine, NodeFacts, Phase, Spans, Turn};
use prost::Message as _;
use serde_json::{Value, json};

use super::otlp::{self, AnyValue, KeyValue, Kind, LogRecord, Resource, Span, Status};
use crate::entries::tests::Bench;
use crate::traced::{SPAN, TRACE, Traced, at, changed, tries};

const ALL: Spans = Spans {
    request: true,
    balancer: true,
    plugin_rewrite: true,
    plugin_access: true,
    plugin_header_filter: true,
    sampling_rate: 1.0,
};

fn config(changes: Value) -> Value {
    let settings = json!({
        "traces_endpoint": "http://otel.test:4318/v1/traces",
        "logs_endpoint": null,
        "headers": null,
        "resource_attributes": null,
        "connect_timeout": 1000,
        "send_timeout": 5000,
        "read_timeout": 5000,
        "http_response_header_for_traceid": null,
        "header_type": "preserve",
        "sampling_rate": null,
        "batch_span_count": 200,
        "batch_flush_delay": 3,
        "queue": {
            "max_batch_size": 200, "max_coalescing_delay": 1, "max_entries": 1000,
            "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
            "max_retry_delay": 60, "concurrency_limit": 1,
        },
        "propagation": { "default_format": "w3c" },
    });
    changed(settings, changes)
}

/// What a test reads of a request: the messages of the specification, with the spans decoded.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfResource {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfScope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<otlp::Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

fn text(text: &str) -> Option<otlp::Value> {
    Some(otlp::Value::Text(text.to_owned()))
}

fn begin(spans: Spans, changes: Value, lines: &[(&str, &str)]) -> Traced {
    let mut bench = Bench::new(FakeRecords::default());
    bench.services.node = Arc::new(NodeFacts {
        spans,
        ..(*bench.services.node).clone()
    });
    let handler = bench.handler(super::PLUGIN.build.unwrap(), config(changes));
    Traced::new(bench, handler, lines)
}

/// All spans, and a log that the test writes.
fn logging(log: Arc<FakeLog>, changes: Value) -> Traced {
    let mut traced = begin(ALL, json!({}), &[]);
    traced.bench.services.log = log;
    traced.handler = (traced.bench).handler(super::PLUGIN.build.unwrap(), config(changes));
    traced
}

/// The resource and the spans of the only request.
fn decoded(requests: &[HttpRequest]) -> (Resource, Vec<Span>) {
    let [request] = requests else {
        panic!("{} requests", requests.len());
    };
    let request = Request::decode(request.body.clone()).unwrap();
    let of = request.resources.into_iter().next().unwrap();
    let scope = of.scopes.into_iter().next().unwrap();
    (of.resource.unwrap(), scope.spans)
}

#[tokio::test(start_paused = true)]
async fn a_request_its_plugins_and_its_attempts_are_spans_of_one_trace() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let mut traced = begin(ALL, json!({}), &[("traceparent", &traceparent)]);
    for phase in [Phase::Access, Phase::HeaderFilter] {
        traced.sample.work.turns.push(Turn {
            plugin: "key-auth".into(),
            phase,
            began: at(1),
            ended: at(2),
        });
    }
    let requests = traced.requests(&tries()).await;
    let (_, spans) = decoded(&requests);
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "kong",
            "kong.access.plugin.key-auth",
            "kong.header_filter.plugin.key-auth",
            "kong.balancer",
            "kong.balancer",
        ]
    );
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let root = &spans[0];
    assert_eq!(hex(&root.parent_span_id), SPAN);
    assert!(
        spans[1..]
            .iter()
            .all(|span| span.parent_span_id == root.span_id)
    );
    assert_eq!(root.kind(), Kind::Server);
    assert_eq!(
        root.end_time_unix_nano - root.start_time_unix_nano,
        20_000_000
    );
    let of_root = |key: &str| attribute(&root.attributes, key);
    assert_eq!(of_root("http.url"), text("http://example.test/a?b=c"));
    assert_eq!(of_root("http.route"), text("/path"));
    assert_eq!(of_root("http.client_ip"), text("127.0.0.1"));
    assert_eq!(of_root("http.status_code"), Some(otlp::Value::Integer(418)));

    let [first, second] = &spans[3..] else {
        panic!("two attempts");
    };
    assert_eq!(first.status, Some(Status::ERROR));
    assert_eq!(first.end_time_unix_nano, 7_000_000);
    assert_eq!((second.status.clone(), second.kind()), (None, Kind::Client));
    let expected = format!("00-{TRACE}-{}-01", hex(&second.span_id));
    assert_eq!(traced.upstream_header("traceparent"), Some(&*expected));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_the_node_say_which_spans_there_are() {
    let turn = || Turn {
        plugin: "cors".into(),
        phase: Phase::Access,
        began: at(1),
        ended: at(2),
    };
    let only_request = Spans {
        balancer: false,
        plugin_access: false,
        ..ALL
    };
    let mut traced = begin(only_request, json!({}), &[]);
    traced.sample.work.turns.push(turn());
    let requests = traced.requests(&tries()).await;
    let (_, spans) = decoded(&requests);
    assert_eq!(spans.len(), 1);
    let off = Spans {
        request: false,
        ..ALL
    };
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let mut traced = begin(off, json!({}), &[("traceparent", &traceparent)]);
    assert!(!traced.handler.needs().phases.contains(Phase::Log));
    assert!(traced.requests(&tries()).await.is_empty());
    // The trace is passed on nevertheless, as one that is not recorded.
    let passed_on = traced.upstream_header("traceparent").unwrap();
    assert!(passed_on.starts_with(&format!("00-{TRACE}-")) && passed_on.ends_with("-00"));
}

#[tokio::test(start_paused = true)]
async fn sampling_goes_by_the_trace_id_unless_the_client_does_not_record() {
    // The first byte counts least of eight, so that these are at 1/256 and 255/256 of all ids.
    let low = "00000000000000010000000000000001";
    let high = "00000000000000ff0000000000000001";
    for (rate, of_node, trace, flags, is_sent) in [
        (json!(0.5), 0.0, low, "01", true),
        (json!(0.5), 1.0, high, "01", false),
        (json!(null), 0.5, low, "01", true),
        (json!(null), 0.5, high, "01", false),
        (json!(1), 0.0, high, "00", false),
        (json!(0), 1.0, low, "01", false),
    ] {
        let spans = Spans {
            sampling_rate: of_node,
            ..ALL
        };
        let traceparent = format!("00-{trace}-{SPAN}-{flags}");
        let changes = json!({ "sampling_rate": rate });
        let mut traced = begin(spans, changes, &[("traceparent", &traceparent)]);
        let requests = traced.requests(&[]).await;
        assert_eq!(
            requests.len(),
            usize::from(is_sent),
            "{rate} {of_node} {trace} {flags}"
        );
        let end = if is_sent { "-01" } else { "-00" };
        let told = traced.upstream_header("traceparent").unwrap();
        assert!(told.ends_with(end));
    }
}

#[tokio::test(start_paused = true)]
async fn the_resource_and_the_headers_are_as_configured() {
    let changes = json!({
        "headers": { "X-Token": "t" },
        "resource_attributes": { "service.name": "edge", "zone": "a" },
    });
    let mut traced = begin(ALL, changes, &[]);
    let requests = traced.requests(&[]).await;
    assert_eq!(requests[0].url, "http://otel.test:4318/v1/traces");
    let header = |name: &str| {
        let found = requests[0].headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    };
    assert_eq!(header("X-Token").as_deref(), Some("t"));
    assert_eq!(
        header("Content-Type").as_deref(),
        Some("application/x-protobuf")
    );
    let (resource, _) = decoded(&requests);
    let of_resource = |key: &str| attribute(&resource.attributes, key);
    assert_eq!(of_resource("service.name"), text("edge"));
    assert_eq!(of_resource("zone"), text("a"));
    assert_eq!(of_resource("service.version"), text("test"));
    assert!(of_resource("service.instance.id").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_client_is_told_the_trace_id_also_when_another_plugin_answers() {
    let changes = json!({ "http_response_header_for_traceid": "X-Trace" });
    let mut traced = begin(ALL, changes.clone(), &[]);
    let requests = traced.answer(&[]).await;
    assert_eq!(decoded(&requests).1.len(), 1);
    assert_eq!(traced.head.headers.get_str("x-trace").unwrap().len(), 32);
    let mut traced = begin(Spans::default(), changes, &[]);
    traced.answer(&[]).await;
    assert_eq!(traced.head.headers.get_str("x-trace"), None);
}

#[tokio::test(start_paused = true)]
async fn what_the_node_logs_is_sent_with_the_trace_of_the_exchange_that_it_is_about() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Logs {
        #[prost(message, repeated, tag = "1")]
        resources: Vec<LogsOfResource>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct LogsOfResource {
        #[prost(message, repeated, tag = "2")]
        scopes: Vec<LogsOfScope>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct LogsOfScope {
        #[prost(message, repeated, tag = "2")]
        records: Vec<LogRecord>,
    }

    let log = Arc::new(FakeLog::default());
    let changes = json!({
        "traces_endpoint": null, "logs_endpoint": "http://otel.test:4318/v1/logs",
    });
    let line = |source, message: &str, fields: &[(&'static str, &str)]| LogLine {
        time: at(3),
        level: "error",
        source,
        message: message.to_owned(),
        fields: fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
    };
    for with_traces in [false, true] {
        let mut changes = changes.clone();
        if with_traces {
            changes["traces_endpoint"] = json!("http://otel.test:4318/v1/traces");
        }
        let mut traced = logging(log.clone(), changes);
        let request_id = traced.sample.connection.request_id;
        log.write(line(
            "proxy::exchange",
            "mine",
            &[("request_id", request_id)],
        ));
        log.write(line(
            "proxy::exchange",
            "another",
            &[("request_id", "0"), ("tries", "2")],
        ));
        log.write(line("plugins_observe::queue", "of the queue itself", &[]));
        // Without traces, the plugin has no turn in `access`.
        assert_eq!(
            traced.handler.needs().phases.contains(Phase::Access),
            with_traces
        );
        let requests = match with_traces {
            true => traced.requests(&[]).await,
            false => traced.answer(&[]).await,
        };
        let mut requests = requests
            .iter()
            .filter(|request| request.url.ends_with("/logs"));
        let logs = Logs::decode(requests.next().unwrap().body.clone()).unwrap();
        assert!(requests.next().is_none());
        let records = &logs.resources[0].scopes[0].records;
        let [mine, another] = records.as_slice() else {
            panic!("{records:?}");
        };
        assert_eq!((mine.severity_number, &*mine.severity_text), (17, "ERR"));
        assert_eq!(mine.body.clone().unwrap().value, text("mine"));
        assert_eq!(attribute(&mine.attributes, "request.id"), text(request_id));
        assert_eq!(mine.time_unix_nano, 3_000_000);
        assert_eq!(
            (mine.trace_id.len(), mine.flags),
            if with_traces { (16, 1) } else { (0, 0) }
        );
        assert_eq!(attribute(&another.attributes, "tries"), text("2"));
        assert!(another.trace_id.is_empty());
    }
}

#[test]
fn values_have_the_numbers_of_the_specification() {
    // common.proto: string_value = 1, int_value = 3, double_value = 4; KeyValue: key = 1, value = 2.
    let encoded = |value| {
        let value = AnyValue { value: Some(value) };
        Bytes::from(value.encode_to_vec())
    };
    assert_eq!(
        encoded(otlp::Value::Text("a".to_owned())),
        &b"\x0a\x01a"[..]
    );
    assert_eq!(encoded(otlp::Value::Integer(5)), &b"\x18\x05"[..]);
    assert_eq!(
        encoded(otlp::Value::Double(0.0)),
        &b"\x21\0\0\0\0\0\0\0\0"[..]
    );
}
