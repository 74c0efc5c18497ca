//! The plugin with its server played by the test.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plugin_api::testing::{self, FakeRecords, Sample, answer_head};
use plugin_api::{
    Credential, Entity, Handler, Latencies, ResponseHead, Source, Summary, Try, TryFailure,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entries::tests::Bench;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn config(changes: Value) -> Value {
    let mut config = json!({
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
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// Two attempts, of which the first failed.
fn tries() -> [Try; 2] {
    let one = Try {
        address: "127.0.0.1:81".parse().unwrap(),
        started_at: at(5),
        balancing: Duration::from_millis(1),
        failed: Some(TryFailure { code: 502 }),
        keep_alive: false,
    };
    let other = Try {
        address: "[::1]:82".parse().unwrap(),
        started_at: at(7),
        failed: None,
        ..one.clone()
    };
    [one, other]
}

struct Traced {
    bench: Bench,
    handler: Arc<dyn Handler>,
    sample: Sample,
    /// The head of the answer.
    head: ResponseHead,
}

impl Traced {
    fn new(changes: Value, lines: &[(&str, &str)]) -> Self {
        let bench = Bench::new(FakeRecords::default());
        Self {
            handler: bench.handler(super::PLUGIN.build.unwrap(), config(changes)),
            bench,
            sample: Sample::new("GET", "/a?b=c", lines),
            head: answer_head(200),
        }
    }

    /// The request goes through the phases; gives its spans, the last one of a batch first.
    async fn spans(&mut self, tries: &[Try]) -> Vec<Value> {
        let mut exchange = self.sample.exchange();
        let step = self.handler.access(&mut exchange);
        step.outcome().await.unwrap();
        self.answer(tries).await
    }

    async fn answer(&mut self, tries: &[Try]) -> Vec<Value> {
        let exchange = &mut self.sample.exchange();
        self.handler
            .header_filter(exchange, &mut self.head)
            .unwrap();
        let summary = Summary {
            status: 418,
            head: None,
            source: Source::Service,
            request_size: 52,
            response_size: 150,
            upstream_status: Some(418),
            uri: "/a?b=c",
            started_at: at(0),
            latencies: Latencies {
                request: Duration::from_millis(20),
                ..Latencies::default()
            },
            tries,
        };
        self.handler.log(exchange, &summary);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut spans = Vec::new();
        for request in self.bench.requests() {
            assert_eq!(request.url, "http://zipkin.test:9411/api/v2/spans");
            let batch: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
            spans.extend(batch);
        }
        spans.reverse();
        spans
    }

    fn upstream_header(&self, name: &str) -> Option<&str> {
        self.sample.head.headers.get_str(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_its_proxying_and_each_attempt_are_spans_of_one_trace() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let changes = json!({ "default_service_name": "elsewhere" });
    let mut traced = Traced::new(changes, &[("traceparent", &traceparent)]);
    traced.sample.service = Some(Entity {
        id: Uuid::from_u128(2),
        name: Some("orders"),
    });
    let spans = traced.spans(&tries()).await;
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
    let mut traced = Traced::new(json!({}), &[]);
    let spans = traced.spans(&tries()).await;
    let values = |span: &Value| {
        let annotations = span["annotations"].as_array().unwrap().iter();
        let values = annotations.map(|annotation| annotation["value"].as_str().unwrap());
        values.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(values(&spans[0]), "krs krf");
    assert_eq!(values(&spans[1]), "kas kaf khs khf kbs kbf");

    let mut traced = Traced::new(json!({ "phase_duration_flavor": "tags" }), &[]);
    let spans = traced.spans(&tries()).await;
    assert_eq!(spans[0].get("annotations"), None);
    assert_eq!(spans[0]["tags"]["kong.rewrite.duration_ms"], "0");
    assert_eq!(spans[1]["tags"]["kong.access.duration_ms"], "5");
    assert_eq!(spans[1]["tags"]["kong.body_filter.duration_ms"], "20");
}

#[tokio::test(start_paused = true)]
async fn clients_give_tags_but_do_not_speak_for_the_gateway() {
    let changes = json!({ "static_tags": [{ "name": "env", "value": "prod" }] });
    let tags = "fg = blue ; kong.consumer=root; lc=me; no; =; a b=c; empty=";
    let mut traced = Traced::new(changes, &[("Zipkin-Tags", tags), ("zipkin-tags", "bg=red")]);
    let spans = traced.spans(&[]).await;
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
        let mut traced = Traced::new(changes, &[]);
        let record = json!({ "id": Uuid::from_u128(5).to_string() });
        traced.sample.work.consumer = testing::consumer(&record);
        traced.sample.work.credential = Some(Arc::new(Credential {
            id: "c1".into(),
            identifier: None,
            record: None,
        }));
        let spans = traced.spans(&[]).await;
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
        let mut traced = Traced::new(changes, &lines);
        assert_eq!(traced.spans(&tries()).await, Vec::<Value>::new());
        let names = ["b3", "x-b3-traceid"];
        assert!(
            names
                .iter()
                .any(|name| traced.upstream_header(name).is_some())
        );
    }
    // A client that wants its request traced is heard whatever the ratio is.
    let mut traced = Traced::new(json!({ "sample_ratio": 0 }), &[("x-b3-flags", "1")]);
    assert_eq!(traced.spans(&[]).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_client_is_told_the_trace_id() {
    for (bytes, digits) in [(8, 16), (16, 32)] {
        let changes = json!({
            "traceid_byte_count": bytes, "http_response_header_for_traceid": "X-Trace",
        });
        let mut traced = Traced::new(changes, &[]);
        let spans = traced.spans(&[]).await;
        let told = traced.head.headers.get_str("x-trace").unwrap();
        assert_eq!(told.len(), digits);
        assert_eq!(spans[0]["traceId"], told);
        assert_eq!(traced.upstream_header("x-b3-traceid").unwrap().len(), 32);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_route_took_is_traced_as_well() {
    let mut traced = Traced::new(json!({ "http_span_name": "method_path" }), &[]);
    (traced.sample.route, traced.sample.service) = (None, None);
    let spans = traced.answer(&[]).await;
    assert_eq!(spans[0]["name"], "GET /a");
    assert_eq!(spans[1]["name"], "GET /a (proxy)");
    assert_eq!(spans[1]["remoteEndpoint"], Value::Null);
}
