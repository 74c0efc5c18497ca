//! The plugin with its server played by the test.

use std::sync::Arc;

use plugin_api::testing::{self, FakeRecords};
use plugin_api::{Credential, Entity, HttpRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entries::tests::Bench;
use crate::traced::{SPAN, TRACE, Traced, changed, tries};

fn config(changes: Value) -> Value {
    let settings = json!({
        "local_service_name": "kong",
        "http_endpoint": "http://zipkin.test:9411/api/v2/spans",
        "sample_ratio": 1,
        "default_service_name": null,
        "include_credential": true,
        "traceid_byte_count": 16,
        "header_type": "preserve",
        "default_header_type": "b3",
        "tags_header": "Zipkin-Tags",
        "static_tags": null,
        "http_span_name": "method",
        "connect_timeout": 2000,
        "send_timeout": 5000,
        "read_timeout": 5000,
        "http_response_header_for_traceid": null,
        "phase_duration_flavor": "annotations",
        "queue": {
            "max_batch_size": 10, "max_coalescing_delay": 1, "max_entries": 100,
            "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
            "max_retry_delay": 60, "concurrency_limit": 1,
        },
        "propagation": { "default_format": "b3" },
    });
    changed(settings, changes)
}

fn begin(changes: Value, lines: &[(&str, &str)]) -> Traced {
    let bench = Bench::new(FakeRecords::default());
    let handler = bench.handler(super::PLUGIN.build.unwrap(), config(changes));
    Traced::new(bench, handler, lines)
}

/// The spans that the server got, the last one of a batch first.
fn spans_in(requests: Vec<HttpRequest>) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in requests {
        assert_eq!(request.url, "http://zipkin.test:9411/api/v2/spans");
        let batch: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        spans.extend(batch);
    }
    spans.reverse();
    spans
}

#[tokio::test(start_paused = true)]
async fn a_request_its_proxying_and_each_attempt_are_spans_of_one_trace() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let changes = json!({ "default_service_name": "elsewhere" });
    let mut traced = begin(changes, &[("traceparent", &traceparent)]);
    traced.sample.service = Some(Entity {
        id: Uuid::from_u128(2),
        name: Some("orders"),
    });
    let spans = spans_in(traced.requests(&tries()).await);
    let [request, proxy, second, first] = spans.as_slice() else {
        panic!("{spans:#?}");
    };
    for span in &spans {
        assert_eq!(span["traceId"], TRACE);
        assert_eq!(span["localEndpoint"], json!({ "serviceName": "kong" }));
    }
    assert_eq!(request["parentId"], SPAN);
    for span in [proxy, second, first] {
        assert_eq!(span["parentId"], request["id"]);
        assert_eq!(span["kind"], "CLIENT");
        assert_eq!(span["tags"]["kong.service_name"], "orders");
        assert_eq!(span["remoteEndpoint"]["serviceName"], "orders");
    }
    assert_eq!(
        (&request["kind"], &request["name"], &request["duration"]),
        (&json!("SERVER"), &json!("GET"), &json!(20_000))
    );
    assert_eq!(
        request["tags"],
        json!({
            "lc": "kong",
            "http.method": "GET",
            "http.host": "example.test",
            "http.path": "/a",
            "http.protocol": "HTTP/1.1",
            "http.status_code": "418",
            "kong.node.id": Uuid::from_u128(7).to_string(),
        })
    );
    assert_eq!(
        request["remoteEndpoint"],
        json!({ "serviceName": "elsewhere", "ipv4": "127.0.0.1", "port": 40_000 })
    );
    assert_eq!(proxy["name"], "GET (proxy)");
    assert_eq!(proxy["remoteEndpoint"]["ipv6"], "::1");
    assert_eq!(proxy["tags"]["peer.hostname"], "service.test");
    assert_eq!(first["name"], "GET (balancer try 1)");
    assert_eq!(
        (&first["timestamp"], &first["duration"]),
        (&json!(5_000), &json!(2_000))
    );
    assert_eq!(first["tags"]["error"], "true");
    assert_eq!(first["tags"]["http.status_code"], "502");
    assert_eq!(second["tags"].get("error"), None);
    assert_eq!(second["remoteEndpoint"]["port"], 82);

    let expected = format!("00-{TRACE}-{}-01", proxy["id"].as_str().unwrap());
    assert_eq!(traced.upstream_header("traceparent"), Some(&*expected));
}

#[tokio::test(start_paused = true)]
async fn phases_are_annotations_or_tags() {
    let mut traced = begin(json!({}), &[]);
    let spans = spans_in(traced.requests(&tries()).await);
    let values = |span: &Value| {
        let annotations = span["annotations"].as_array().unwrap().iter();
        let values = annotations.map(|annotation| annotation["value"].as_str().unwrap());
        values.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(values(&spans[0]), "krs krf");
    assert_eq!(values(&spans[1]), "kas kaf khs khf kbs kbf");

    let mut traced = begin(json!({ "phase_duration_flavor": "tags" }), &[]);
    let spans = spans_in(traced.requests(&tries()).await);
    assert_eq!(spans[0].get("annotations"), None);
    assert_eq!(spans[0]["tags"]["kong.rewrite.duration_ms"], "0");
    assert_eq!(spans[1]["tags"]["kong.access.duration_ms"], "5");
    assert_eq!(spans[1]["tags"]["kong.body_filter.duration_ms"], "20");
}

#[tokio::test(start_paused = true)]
async fn clients_give_tags_but_do_not_speak_for_the_gateway() {
    let changes = json!({ "static_tags": [{ "name": "env", "value": "prod" }] });
    let tags = "fg = blue ; kong.consumer=root; lc=me; no; =; a b=c; empty=";
    let mut traced = begin(changes, &[("Zipkin-Tags", tags), ("zipkin-tags", "bg=red")]);
    let spans = spans_in(traced.requests(&[]).await);
    let tags = &spans[0]["tags"];
    assert_eq!((&tags["fg"], &tags["bg"]), (&json!("blue"), &json!("red")));
    assert_eq!(
        (&tags["lc"], &tags["env"]),
        (&json!("kong"), &json!("prod"))
    );
    for name in ["kong.consumer", "no", "", "a b", "empty"] {
        assert_eq!(tags.get(name), None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn consumer_and_credential_are_named_if_that_is_wanted() {
    for include_credential in [true, false] {
        let changes = json!({ "include_credential": include_credential });
        let mut traced = begin(changes, &[]);
        let record = json!({ "id": Uuid::from_u128(5).to_string() });
        traced.sample.work.consumer = testing::consumer(&record);
        traced.sample.work.credential = Some(Arc::new(Credential {
            id: "c1".into(),
            identifier: None,
            record: None,
        }));
        let spans = spans_in(traced.requests(&[]).await);
        let tags = &spans[0]["tags"];
        assert_eq!(tags["kong.consumer"], Uuid::from_u128(5).to_string());
        let credential = include_credential.then(|| json!("c1"));
        assert_eq!(tags.get("kong.credential"), credential.as_ref());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_is_passed_on_but_not_sent() {
    for (changes, lines) in [
        (json!({ "sample_ratio": 0 }), vec![]),
        (json!({}), vec![("b3", "0")]),
        (json!({ "http_endpoint": null }), vec![]),
    ] {
        let mut traced = begin(changes, &lines);
        assert_eq!(
            spans_in(traced.requests(&tries()).await),
            Vec::<Value>::new()
        );
        let names = ["b3", "x-b3-traceid"];
        assert!(
            names
                .iter()
                .any(|name| traced.upstream_header(name).is_some())
        );
    }
    // A client that wants its request traced is heard whatever the ratio is.
    let mut traced = begin(json!({ "sample_ratio": 0 }), &[("x-b3-flags", "1")]);
    assert_eq!(spans_in(traced.requests(&[]).await).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_client_is_told_the_trace_id() {
    for (bytes, digits) in [(8, 16), (16, 32)] {
        let changes = json!({
            "traceid_byte_count": bytes, "http_response_header_for_traceid": "X-Trace",
        });
        let mut traced = begin(changes, &[]);
        let spans = spans_in(traced.requests(&[]).await);
        let told = traced.head.headers.get_str("x-trace").unwrap();
        assert_eq!(told.len(), digits);
        assert_eq!(spans[0]["traceId"], told);
        assert_eq!(traced.upstream_header("x-b3-traceid").unwrap().len(), 32);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_route_took_is_traced_as_well() {
    let mut traced = begin(json!({ "http_span_name": "method_path" }), &[]);
    (traced.sample.route, traced.sample.service) = (None, None);
    let spans = spans_in(traced.answer(&[]).await);
    assert_eq!(spans[0]["name"], "GET /a");
    assert_eq!(spans[1]["name"], "GET /a (proxy)");
    assert_eq!(spans[1]["remoteEndpoint"], Value::Null);
}
