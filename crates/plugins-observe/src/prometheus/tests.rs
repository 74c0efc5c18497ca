use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plugin_api::testing::{self, FakeRecords, Sample, build, services};
use plugin_api::{
    Entity, Handler, Latencies, LogEdit, LogMode, MEMORY_HELD, MEMORY_LIMIT, Page, Phase, Services,
    Source, Summary,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::series::{OVERFLOW, Series, Status, Subject};
use super::{METRICS, PLUGIN};

const ALL: [&str; 4] = [
    "status_code_metrics",
    "latency_metrics",
    "bandwidth_metrics",
    "ai_metrics",
];

fn config(on: &[&str]) -> Value {
    let mut config = json!({
        "per_consumer": false, "status_code_metrics": false, "ai_metrics": false,
        "latency_metrics": false, "bandwidth_metrics": false, "upstream_health_metrics": false,
    });
    for name in on {
        config[name] = json!(true);
    }
    config
}

fn handler(services: &Services, on: &[&str]) -> Arc<dyn Handler> {
    build(PLUGIN.build.unwrap(), &config(on), services).unwrap()
}

fn node() -> Services {
    services(FakeRecords::default())
}

fn summary(status: u16) -> Summary<'static> {
    Summary {
        status,
        head: None,
        source: Source::Service,
        request_size: 100,
        response_size: 1000,
        upstream_status: Some(status),
        uri: "/",
        started_at: SystemTime::UNIX_EPOCH,
        latencies: Latencies {
            gateway: Duration::from_micros(1500),
            upstream: Some(Duration::from_millis(60)),
            request: Duration::from_millis(62),
            receive: Duration::ZERO,
        },
        tries: &[],
    }
}

/// A request of bob's to the route `r1` of the service `s1`.
fn sample() -> Sample {
    let mut sample = Sample::new("GET", "/", &[]);
    sample.route = Some(Entity {
        id: Uuid::from_u128(1),
        name: Some("r1"),
    });
    sample.service = Some(Entity {
        id: Uuid::from_u128(2),
        name: Some("s1"),
    });
    let record = json!({ "id": Uuid::from_u128(3).to_string(), "username": "bob" });
    sample.work.consumer = testing::consumer(&record);
    sample
}

/// What the page of a node shows, without comments.
fn shown(services: &Services) -> Vec<String> {
    let mut page = Page::new();
    services.metrics.write(&mut page);
    for family in page.families() {
        let is_memory = [&MEMORY_HELD, &MEMORY_LIMIT].contains(&family);
        assert!(is_memory || METRICS.contains(&family), "{}", family.name);
    }
    let text = page.finish(metrics::Format::Text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn assert_shows(services: &Services, lines: &[&str]) {
    let shown = shown(services);
    for line in lines {
        assert!(shown.iter().any(|its| its == line), "{line} in {shown:#?}");
    }
}

fn starting_with(services: &Services, start: &str) -> Vec<String> {
    let mut shown = shown(services);
    shown.retain(|line| line.starts_with(start));
    shown
}

#[test]
fn requests_are_counted_under_the_labels_of_kong() {
    let node = node();
    let handler = handler(&node, &ALL);
    for status in [200, 200, 404] {
        handler.log(&mut sample().exchange(), &summary(status));
    }
    let own = Summary {
        source: Source::Exit,
        latencies: Latencies {
            upstream: None,
            ..summary(401).latencies
        },
        ..summary(401)
    };
    handler.log(&mut sample().exchange(), &own);
    assert_shows(
        &node,
        &[
            r#"kong_http_requests_total{service="s1",route="r1",code="200",source="service",workspace="default",consumer=""} 2"#,
            r#"kong_http_requests_total{service="s1",route="r1",code="404",source="service",workspace="default",consumer=""} 1"#,
            r#"kong_http_requests_total{service="s1",route="r1",code="401",source="kong",workspace="default",consumer=""} 1"#,
            r#"kong_bandwidth_bytes{service="s1",route="r1",direction="egress",workspace="default",consumer=""} 4000"#,
            r#"kong_bandwidth_bytes{service="s1",route="r1",direction="ingress",workspace="default",consumer=""} 400"#,
            r#"kong_kong_latency_ms_bucket{service="s1",route="r1",workspace="default",le="1"} 0"#,
            r#"kong_kong_latency_ms_bucket{service="s1",route="r1",workspace="default",le="2"} 4"#,
            r#"kong_kong_latency_ms_bucket{service="s1",route="r1",workspace="default",le="+Inf"} 4"#,
            r#"kong_kong_latency_ms_sum{service="s1",route="r1",workspace="default"} 6"#,
            r#"kong_upstream_latency_ms_bucket{service="s1",route="r1",workspace="default",le="50"} 0"#,
            r#"kong_upstream_latency_ms_bucket{service="s1",route="r1",workspace="default",le="80"} 3"#,
            r#"kong_upstream_latency_ms_count{service="s1",route="r1",workspace="default"} 3"#,
            r#"kong_request_latency_ms_count{service="s1",route="r1",workspace="default"} 4"#,
            r#"kong_request_latency_ms_sum{service="s1",route="r1",workspace="default"} 248"#,
        ],
    );
}

#[test]
fn each_switch_has_its_families_and_no_others() {
    for (switch, families) in [
        ("status_code_metrics", &["kong_http_requests_total"][..]),
        ("bandwidth_metrics", &["kong_bandwidth_bytes"]),
        (
            "latency_metrics",
            &[
                "kong_kong_latency_ms",
                "kong_request_latency_ms",
                "kong_upstream_latency_ms",
            ],
        ),
    ] {
        let node = node();
        let handler = handler(&node, &[switch]);
        handler.log(&mut sample().exchange(), &summary(200));
        let mut page = Page::new();
        node.metrics.write(&mut page);
        let of_requests: Vec<&str> = page
            .families()
            .filter(|family| family.labels.contains(&"route"))
            .map(|family| family.name)
            .collect();
        assert_eq!(of_requests, families);
    }
}

#[test]
fn without_switches_there_is_no_work() {
    let node = node();
    assert!(handler(&node, &[]).needs().phases.is_empty());
    assert!(handler(&node, &["per_consumer"]).needs().phases.is_empty());
    for switch in ALL {
        assert!(
            handler(&node, &[switch])
                .needs()
                .phases
                .contains(Phase::Log)
        );
    }
}

#[test]
fn consumers_are_told_apart_if_that_is_wanted() {
    let node = node();
    let on = [
        "per_consumer",
        "status_code_metrics",
        "bandwidth_metrics",
        "latency_metrics",
    ];
    let handler = handler(&node, &on);
    handler.log(&mut sample().exchange(), &summary(200));
    let mut anonymous = sample();
    anonymous.work.consumer = None;
    handler.log(&mut anonymous.exchange(), &summary(200));
    assert_shows(
        &node,
        &[
            r#"kong_http_requests_total{service="s1",route="r1",code="200",source="service",workspace="default",consumer="bob"} 1"#,
            r#"kong_http_requests_total{service="s1",route="r1",code="200",source="service",workspace="default",consumer=""} 1"#,
            r#"kong_bandwidth_bytes{service="s1",route="r1",direction="egress",workspace="default",consumer="bob"} 1000"#,
            // Times are those of the route, whoever asked.
            r#"kong_request_latency_ms_count{service="s1",route="r1",workspace="default"} 2"#,
        ],
    );
}

#[test]
fn what_has_no_name_is_called_by_its_id_and_what_no_route_took_is_not_counted() {
    let node = node();
    let handler = handler(&node, &["status_code_metrics"]);
    let mut unnamed = Sample::new("GET", "/", &[]);
    unnamed.service = None;
    handler.log(&mut unnamed.exchange(), &summary(200));
    let mut lost = Sample::new("GET", "/", &[]);
    (lost.route, lost.service) = (None, None);
    handler.log(&mut lost.exchange(), &summary(404));
    let id = Uuid::from_u128(1);
    let expected = format!(
        "kong_http_requests_total{{service=\"\",route=\"{id}\",code=\"200\",source=\"service\",workspace=\"default\",consumer=\"\"}} 1"
    );
    assert_eq!(starting_with(&node, "kong_http_requests_total"), [expected]);
}

#[test]
fn a_route_that_gets_another_name_is_counted_under_it_from_then_on() {
    let node = node();
    let handler = handler(&node, &["status_code_metrics"]);
    handler.log(&mut sample().exchange(), &summary(200));
    let mut renamed = sample();
    renamed.route = Some(Entity {
        id: Uuid::from_u128(1),
        name: Some("r2"),
    });
    handler.log(&mut renamed.exchange(), &summary(200));
    handler.log(&mut sample().exchange(), &summary(200));
    let lines = starting_with(&node, "kong_http_requests_total");
    assert!(
        lines[0].contains("r1") && lines[0].ends_with(" 2"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("r2") && lines[1].ends_with(" 1"),
        "{lines:?}"
    );
}

#[test]
fn workers_are_added_up_and_a_new_configuration_counts_on() {
    let node = node();
    let before = handler(&node, &["status_code_metrics"]);
    let log = |handler: &Arc<dyn Handler>| {
        handler.log(&mut sample().exchange(), &summary(200));
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| log(&before));
        }
    });
    let after = handler(&node, &["status_code_metrics", "bandwidth_metrics"]);
    drop(before);
    log(&after);
    let lines = starting_with(&node, "kong_http_requests_total");
    assert!(lines[0].ends_with(" 4"), "{lines:?}");
}

#[test]
fn nothing_is_shown_once_the_plugin_is_gone() {
    let node = node();
    let handler = handler(&node, &ALL);
    handler.log(&mut sample().exchange(), &summary(200));
    assert!(!shown(&node).is_empty());
    drop(handler);
    assert_eq!(shown(&node), [""; 0]);
}

#[test]
fn the_health_of_targets_is_shown_as_long_as_a_configuration_wants_it() {
    let node = node();
    let with = handler(&node, &["upstream_health_metrics"]);
    let without = handler(&node, &ALL);
    assert!(node.metrics.shows_target_health());
    drop(with);
    assert!(!node.metrics.shows_target_health());
    drop(without);
}

#[test]
fn the_use_of_language_models_is_counted_from_the_log_entry() {
    let node = node();
    let handler = handler(&node, &["ai_metrics"]);
    let mut sample = sample();
    let mut edit = |path: &'static str, value: Value| {
        sample.work.log_edits.push(LogEdit {
            path: path.into(),
            value: Some(value),
            mode: LogMode::Always,
        });
    };
    edit(
        "ai.proxy.meta",
        json!({ "provider_name": "openai", "request_model": "m", "llm_latency": 1200 }),
    );
    edit(
        "ai.proxy.usage",
        json!({ "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": 0.5 }),
    );
    edit("other", json!("x"));
    handler.log(&mut sample.exchange(), &summary(200));
    let of = r#"ai_provider="openai",ai_model="m",cache_status="",vector_db="",embeddings_provider="",embeddings_model="""#;
    let expected = [
        format!("kong_ai_llm_requests_total{{{of},workspace=\"default\"}} 1"),
        format!("kong_ai_llm_cost_total{{{of},workspace=\"default\"}} 0.5"),
        format!(
            "kong_ai_llm_tokens_total{{{of},token_type=\"completion_tokens\",workspace=\"default\"}} 7"
        ),
        format!(
            "kong_ai_llm_provider_latency_ms_bucket{{{of},workspace=\"default\",le=\"1000\"}} 0"
        ),
        format!(
            "kong_ai_llm_provider_latency_ms_bucket{{{of},workspace=\"default\",le=\"1500\"}} 1"
        ),
        format!("kong_ai_llm_provider_latency_ms_sum{{{of},workspace=\"default\"}} 1200"),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_shows(&node, &expected);
    // A request that asked no model tells nothing.
    handler.log(&mut self::sample().exchange(), &summary(200));
    assert_shows(&node, &expected);
}

fn subject<'a>(route: (u128, &'a str), consumer: Option<(u128, &'a str)>) -> Subject<'a> {
    Subject {
        route: (Uuid::from_u128(route.0), route.1),
        service: None,
        consumer: consumer.map(|(id, name)| (Uuid::from_u128(id), name)),
        workspace: "default",
    }
}

/// Every route with its consumer, as a reader sees them.
fn sets(series: &Series) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for shard in series.shards() {
        let sets = shard.sets.lock();
        found.extend(sets.keys().map(|labels| {
            (
                labels.of_route.route.to_string(),
                labels.consumer.to_string(),
            )
        }));
    }
    found.sort();
    found
}

#[test]
fn consumers_without_room_are_counted_together_and_leave_room_for_routes() {
    let series = Series::new(10_000);
    for id in 0..1000 {
        series.counting(&subject((1, "r"), Some((id, &format!("consumer-{id}")))));
    }
    let of_consumers = sets(&series);
    assert!(of_consumers.len() < 30, "{of_consumers:?}");
    assert!(of_consumers.contains(&("r".to_owned(), OVERFLOW.to_owned())));
    assert!(series.overflows() > 900);
    series.counting(&subject((2, "another"), None));
    assert!(sets(&series).contains(&("another".to_owned(), String::new())));
}

#[test]
fn routes_and_statuses_without_room_are_counted_together() {
    let series = Series::new(5_000);
    for id in 0..1000 {
        series.counting(&subject((id, &format!("route-{id}")), None));
    }
    let routes = sets(&series);
    assert!(routes.len() < 10, "{routes:?}");
    assert!(routes.contains(&(OVERFLOW.to_owned(), String::new())));
    let counting = series.counting(&subject((0, "route-0"), None));
    for code in 100..1000 {
        series.answered(
            &counting,
            Status {
                code,
                of_service: true,
            },
        );
    }
    let statuses = counting.set.statuses.lock();
    let rest = statuses[&Status {
        code: 0,
        of_service: true,
    }]
        .get();
    let total: u64 = statuses.values().map(|count| count.get()).sum();
    assert_eq!(total, 900);
    assert!(rest > 850, "{rest}");
    let (_, bytes, limit) = series.size();
    assert!(bytes <= limit);
}
