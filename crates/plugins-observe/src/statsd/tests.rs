use plugin_api::testing::{self, FakeRecords, Sample};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entries::tests::Bench;

const WORKSPACE: &str = "00000000-0000-0000-0000-000000000003";
const USER: &str = "00000000-0000-0000-0000-000000000004";

fn config(changes: Value) -> Value {
    let mut config = json!({
        "host": "stats.test",
        "port": 8125,
        "prefix": "kong",
        "metrics": [
            { "name": "request_count", "stat_type": "counter", "sample_rate": 0.5 },
            { "name": "upstream_latency", "stat_type": "timer" },
            { "name": "status_count", "stat_type": "counter", "sample_rate": 1 },
        ],
        "allow_status_codes": null,
        "udp_packet_size": 0,
        "use_tcp": false,
        "hostname_in_prefix": false,
        "consumer_identifier_default": "custom_id",
        "service_identifier_default": "service_name_or_host",
        "workspace_identifier_default": "workspace_id",
        "tag_style": null,
        "queue": {
            "max_batch_size": 1, "max_coalescing_delay": 1, "max_entries": 10,
            "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
            "max_retry_delay": 60, "concurrency_limit": 1,
        },
    });
    let Value::Object(changes) = changes else {
        panic!("changes are members")
    };
    config.as_object_mut().unwrap().extend(changes);
    config
}

/// What one request sends, and where to.
async fn sent(changes: Value, sample: &mut Sample, status: u16) -> Vec<(String, String)> {
    let workspace = json!({ "id": WORKSPACE, "name": "default" });
    let bench = Bench::new(FakeRecords::default().with("workspaces", workspace));
    let handler = bench.handler(super::PLUGIN.build.unwrap(), config(changes));
    bench.log(&*handler, sample, status).await;
    bench.sent()
}

async fn lines(changes: Value, sample: &mut Sample) -> Vec<String> {
    let sent = sent(changes, sample, 200).await;
    sent.into_iter().map(|(_, text)| text).collect()
}

fn known_user() -> Sample {
    let mut sample = Sample::new("GET", "/", &[]);
    let record = json!({ "id": USER, "username": "a:1|c\nb", "custom_id": "cust" });
    sample.work.consumer = testing::consumer(&record);
    sample
}

#[tokio::test(start_paused = true)]
async fn each_metric_is_a_datagram_named_by_its_service() {
    let mut sample = Sample::new("GET", "/", &[]);
    let expected = [
        "kong.service.service_test.request.count:1|c|@0.5",
        "kong.service.service_test.status.200:1|c",
    ];
    assert_eq!(lines(json!({}), &mut sample).await, expected);
    sample.service = None;
    let expected = [
        "kong.global.unmatched.request.count:1|c|@0.5",
        "kong.global.unmatched.status.200:1|c",
    ];
    assert_eq!(lines(json!({}), &mut sample).await, expected);
}

#[tokio::test(start_paused = true)]
async fn lines_share_a_datagram_or_a_connection() {
    let mut sample = Sample::new("GET", "/", &[]);
    let both = "kong.service.service_test.request.count:1|c|@0.5\nkong.service.service_test.status.200:1|c";
    let packed = json!({ "udp_packet_size": 500 });
    assert_eq!(lines(packed, &mut sample).await, [both]);
    let tcp = sent(json!({ "use_tcp": true }), &mut sample, 200).await;
    let place = "stats.test:8125 None".to_owned();
    assert_eq!(
        tcp,
        [
            (place.clone(), "opened".to_owned()),
            (place, format!("{both}\n"))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn statuses_outside_of_the_ranges_are_not_measured() {
    let only = |ranges: Value| json!({ "allow_status_codes": ranges });
    for (ranges, status, datagrams) in [
        (json!(["200-299", "404-404"]), 200, 2),
        (json!(["200-299", "404-404"]), 404, 2),
        (json!(["200-299", "404-404"]), 403, 0),
        (json!([]), 200, 0),
    ] {
        let mut sample = Sample::new("GET", "/", &[]);
        let sent = sent(only(ranges.clone()), &mut sample, status).await;
        assert_eq!(sent.len(), datagrams, "{ranges} {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_and_the_workspace_stand_in_names() {
    let counter = |name: &str| json!({ "name": name, "stat_type": "counter", "sample_rate": 1 });
    let named = |name: &str, by: &str| json!({ "name": name, "stat_type": "set", "sample_rate": 1, "consumer_identifier": by });
    let changes = json!({ "metrics": [
        named("unique_users", "username"),
        counter("request_per_user"),
        named("status_count_per_user", "consumer_id"),
        counter("status_count_per_workspace"),
        counter("status_count_per_user_per_route"),
        counter("shdict_usage"),
    ] });
    let scope = "kong.service.service_test";
    let route = Uuid::from_u128(1);
    assert_eq!(
        lines(changes.clone(), &mut known_user()).await,
        [
            format!("{scope}.user.uniques:a_1_c_b|s"),
            format!("{scope}.user.cust.request.count:1|c"),
            format!("{scope}.user.{USER}.status.200:1|c"),
            format!("{scope}.workspace.{WORKSPACE}.status.200:1|c"),
            format!("kong.route.{route}.user.cust.status.200:1|c"),
        ]
    );
    assert_eq!(
        lines(changes, &mut Sample::new("GET", "/", &[])).await,
        [format!("{scope}.workspace.{WORKSPACE}.status.200:1|c")]
    );
}

#[tokio::test(start_paused = true)]
async fn each_dialect_has_tags_in_its_own_place() {
    let tags = |between: char| {
        let tags = [
            ("service", "service.test"),
            ("route", "00000000-0000-0000-0000-000000000001"),
            ("workspace", "default"),
            ("consumer", "cust"),
            ("node", "node_test"),
            ("status", "200"),
        ];
        tags.map(|(name, value)| format!("{name}{between}{value}"))
            .join(",")
    };
    for (style, line) in [
        (
            "dogstatsd",
            format!("kong.request.count:1|c|@0.5|#{}", tags(':')),
        ),
        (
            "influxdb",
            format!("kong.request.count,{}:1|c|@0.5", tags('=')),
        ),
        (
            "librato",
            format!("kong.request.count#{}:1|c|@0.5", tags('=')),
        ),
        (
            "signalfx",
            format!("kong.request.count[{}]:1|c|@0.5", tags('=')),
        ),
    ] {
        let changes =
            json!({ "tag_style": style, "workspace_identifier_default": "workspace_name" });
        assert_eq!(lines(changes, &mut known_user()).await, [line]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_node_stands_in_names_if_that_is_wished() {
    let changes = json!({ "hostname_in_prefix": true });
    let lines = lines(changes, &mut Sample::new("GET", "/", &[])).await;
    assert_eq!(
        lines[1],
        "kong.node.node_test.service.service_test.status.200:1|c"
    );
}
