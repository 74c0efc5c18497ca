use plugin_api::testing::{self, FakeRecords, Sample};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entries::tests::Bench;

fn config(metrics: Value) -> Value {
    json!({
        "host": "agent.test",
        "port": 8125,
        "prefix": "kong",
        "service_name_tag": "name",
        "status_tag": "status",
        "consumer_tag": "consumer",
        "queue": {
            "max_batch_size": 1, "max_coalescing_delay": 1, "max_entries": 10,
            "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
            "max_retry_delay": 60, "concurrency_limit": 1,
        },
        "metrics": metrics,
    })
}

/// The datagrams of one request.
async fn sent(metrics: Value, mut sample: Sample, status: u16) -> Vec<String> {
    let bench = Bench::new(FakeRecords::default());
    let handler = bench.handler(super::PLUGIN.build.unwrap(), config(metrics));
    bench.log(&*handler, &mut sample, status).await;
    let sent = bench.sent();
    assert!(sent.iter().all(|(place, _)| place == "agent.test:8125"));
    sent.into_iter().map(|(_, text)| text).collect()
}

#[tokio::test(start_paused = true)]
async fn each_metric_is_a_datagram_with_its_tags() {
    let metrics = json!([
        { "name": "request_count", "stat_type": "counter", "sample_rate": 0.5, "tags": ["env:prod"] },
        { "name": "request_size", "stat_type": "distribution" },
        { "name": "upstream_latency", "stat_type": "timer" },
    ]);
    let sent = sent(metrics, Sample::new("GET", "/", &[]), 418).await;
    // Nothing was asked upstream, so that there is no latency of it.
    assert_eq!(
        sent,
        [
            "kong.request.count:1|c|@0.5|#name:service_test,status:418,env:prod",
            "kong.request.size:52|d|#name:service_test,status:418",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_consumer_is_named_as_the_metric_says() {
    let metric = |by: &str| json!({ "name": "request_count", "stat_type": "counter", "sample_rate": 1, "consumer_identifier": by });
    let metrics = json!([
        metric("consumer_id"),
        metric("custom_id"),
        metric("username")
    ]);
    let mut sample = Sample::new("GET", "/", &[]);
    sample.service = None;
    let record = json!({ "id": Uuid::from_u128(1).to_string(), "username": "a:b|c\n,#d" });
    sample.work.consumer = testing::consumer(&record);
    assert_eq!(
        sent(metrics, sample, 200).await,
        [
            "kong.request.count:1|c|#name:,status:200,consumer:00000000_0000_0000_0000_000000000001",
            "kong.request.count:1|c|#name:,status:200",
            "kong.request.count:1|c|#name:,status:200,consumer:a_b_c___d",
        ]
    );
}
