//! The logging plugins with their collectors played by the test.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{
    BoxFuture, Build, Connection, Destination, Handler, HttpRequest, HttpResponse, Latencies,
    Machine, Network, NetworkError, Source, TlsOptions, Writer,
};
use serde_json::json;

use super::*;
use crate::queue::tests::Tasks;
use crate::{file_log, http_log, loggly, syslog, tcp_log, udp_log};

/// Everything that goes out.
#[derive(Default)]
struct Outside {
    requests: Mutex<Vec<HttpRequest>>,
    /// Where each datagram, connection or file write went, and what it was.
    sent: Mutex<Vec<(String, String)>>,
}

struct Line(Arc<Outside>, String);

type Io<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, NetworkError>> + Send + 'a>>;

impl Outside {
    fn note(&self, place: impl Into<String>, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.sent.lock().push((place.into(), text));
    }
}

impl Connection for Line {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Io<'a, ()> {
        self.0.note(&self.1, bytes);
        Box::pin(std::future::ready(Ok(())))
    }

    fn read<'a>(&'a mut self, _: usize) -> Io<'a, Bytes> {
        Box::pin(std::future::pending())
    }
}

struct OutsideNetwork(Arc<Outside>);

impl Network for OutsideNetwork {
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        self.0.requests.lock().push(request);
        Box::pin(std::future::ready(Ok(HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: Bytes::new(),
        })))
    }

    fn datagram(&self, to: Destination, bytes: Bytes) -> BoxFuture<Result<(), NetworkError>> {
        self.0.note(format!("{}:{}", to.host, to.port), &bytes);
        Box::pin(std::future::ready(Ok(())))
    }

    fn connect(
        &self,
        to: Destination,
        tls: Option<TlsOptions>,
        _: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        let name = tls.map(|tls| tls.server_name.unwrap_or_default());
        let place = format!("{}:{} {name:?}", to.host, to.port);
        self.0.note(&place, b"opened");
        let line = Line(self.0.clone(), place);
        Box::pin(std::future::ready(
            Ok(Box::new(line) as Box<dyn Connection>),
        ))
    }

    fn resolve(&self, _: &str, _: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        Box::pin(std::future::ready(Err(NetworkError::Timeout)))
    }
}

impl Machine for Outside {
    fn append(&self, path: &str, reopen: bool, bytes: Bytes) -> BoxFuture<io::Result<()>> {
        self.note(format!("{path} {reopen}"), &bytes);
        Box::pin(std::future::ready(Ok(())))
    }

    fn system_log(&self, message: Bytes) -> BoxFuture<io::Result<()>> {
        self.note("syslog", &message);
        Box::pin(std::future::ready(Ok(())))
    }
}

pub struct Bench {
    pub services: Services,
    outside: Arc<Outside>,
}

impl Bench {
    pub fn new(records: FakeRecords) -> Self {
        let outside = Arc::<Outside>::default();
        let mut services = services(records);
        services.background = Arc::<Tasks>::default();
        services.network = Arc::new(OutsideNetwork(outside.clone()));
        services.machine = outside.clone();
        Self { services, outside }
    }

    pub fn handler(&self, make: Build, config: Value) -> Arc<dyn Handler> {
        build(make, &config, &self.services).unwrap()
    }

    pub async fn log(&self, handler: &dyn Handler, sample: &mut Sample, status: u16) {
        let uri = String::from_utf8(sample.target.clone()).unwrap();
        let summary = Summary {
            status,
            head: None,
            source: Source::Service,
            request_size: 52,
            response_size: 150,
            upstream_status: Some(status),
            uri: &uri,
            started_at: std::time::SystemTime::UNIX_EPOCH,
            latencies: Latencies::default(),
            tries: &[],
        };
        handler.log(&mut sample.exchange(), &summary);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    pub fn sent(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.outside.sent.lock())
    }

    /// The requests to HTTP servers.
    pub fn requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut *self.outside.requests.lock())
    }

    /// The entry that stands behind a prefix.
    fn entry(&self, prefix: &str) -> Value {
        let sent = self.sent();
        let text = sent.last().unwrap().1.strip_prefix(prefix).unwrap();
        serde_json::from_str(text).unwrap()
    }
}

const ROUTE: &str = "00000000-0000-0000-0000-000000000001";
const SERVICE: &str = "00000000-0000-0000-0000-000000000002";
const WORKSPACE: &str = "00000000-0000-0000-0000-000000000003";

fn records() -> FakeRecords {
    FakeRecords::default()
        .with("workspaces", json!({ "id": WORKSPACE, "name": "default" }))
        .with(
            "routes",
            json!({ "id": ROUTE, "name": "r", "tags": null, "service": { "id": SERVICE } }),
        )
        .with(
            "services",
            json!({ "id": SERVICE, "name": "s", "port": 80 }),
        )
}

fn udp() -> Value {
    json!({ "host": "logs.test", "port": 514, "timeout": 10_000 })
}

#[tokio::test(start_paused = true)]
async fn an_entry_has_its_route_service_and_workspace_as_the_store_has_them() {
    let bench = Bench::new(records());
    let handler = bench.handler(udp_log::PLUGIN.build.unwrap(), udp());
    // The first one has to look the workspace up, the second one knows it.
    for _ in 0..2 {
        let mut sample = Sample::new("GET", "/x", &[]);
        bench.log(&*handler, &mut sample, 200).await;
        let entry = bench.entry("");
        assert_eq!(
            entry["route"],
            json!({ "id": ROUTE, "name": "r", "service": { "id": SERVICE }, "ws_id": WORKSPACE })
        );
        assert_eq!(
            entry["service"],
            json!({ "id": SERVICE, "name": "s", "port": 80, "ws_id": WORKSPACE })
        );
        assert_eq!(entry["workspace"], WORKSPACE);
        assert_eq!(entry["workspace_name"], "default");
        assert_eq!(entry["request"]["uri"], "/x");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_shows_a_record_as_it_is_after_a_change() {
    let records = Arc::new(records());
    let mut bench = Bench::new(FakeRecords::default());
    bench.services.records = records.clone();
    let handler = bench.handler(udp_log::PLUGIN.build.unwrap(), udp());
    for name in ["r", "renamed", "again"] {
        let changes = json!({ "name": name }).as_object().cloned().unwrap();
        let route = ROUTE.parse().unwrap();
        records.update("routes", route, changes).await.unwrap();
        for _ in 0..2 {
            let mut sample = Sample::new("GET", "/x", &[]);
            bench.log(&*handler, &mut sample, 200).await;
            assert_eq!(bench.entry("")["route"]["name"], name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_written_while_the_store_is_away() {
    let mut records = records();
    records.away = true;
    let bench = Bench::new(records);
    let handler = bench.handler(udp_log::PLUGIN.build.unwrap(), udp());
    let mut sample = Sample::new("GET", "/x", &[]);
    bench.log(&*handler, &mut sample, 200).await;
    let entry = bench.entry("");
    assert_eq!(entry["route"], json!({ "id": ROUTE }));
    assert_eq!(entry.get("workspace"), None);
    assert_eq!(entry["response"]["status"], 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_route_has_no_route() {
    let bench = Bench::new(records());
    let handler = bench.handler(udp_log::PLUGIN.build.unwrap(), udp());
    let mut sample = Sample::new("GET", "/x", &[]);
    sample.route = None;
    sample.service = None;
    bench.log(&*handler, &mut sample, 404).await;
    let entry = bench.entry("");
    assert_eq!((entry.get("route"), entry.get("service")), (None, None));
    assert_eq!(entry["workspace"], WORKSPACE);
}

#[tokio::test(start_paused = true)]
async fn edits_and_lua_code_change_an_entry() {
    let bench = Bench::new(records());
    let mut config = udp();
    config["custom_fields_by_lua"] = json!({
        "route": "return nil",
        "my.sum": "return 1 + 2",
        "bad": "error('no')",
    });
    let handler = bench.handler(udp_log::PLUGIN.build.unwrap(), config);
    let mut sample = Sample::new("GET", "/x", &[]);
    sample.work.log_edits.push(LogEdit {
        path: "request.uri".into(),
        value: Some(json!("hidden")),
        mode: LogMode::Replace,
    });
    bench.log(&*handler, &mut sample, 200).await;
    let entry = bench.entry("");
    assert_eq!((entry.get("route"), entry.get("bad")), (None, None));
    assert_eq!(entry["my"]["sum"], 3);
    assert_eq!(entry["request"]["uri"], "hidden");
    assert_eq!(entry["service"]["name"], "s");
}

#[tokio::test(start_paused = true)]
async fn log_injection_a_hostile_request_is_one_line_and_one_datagram_everywhere() {
    let bench = Bench::new(records());
    let severities = json!({
        "log_level": "info", "successful_severity": "info", "client_errors_severity": "info",
        "server_errors_severity": "info", "facility": "user",
    });
    let plugins: [(Build, Value); 3] = [
        (udp_log::PLUGIN.build.unwrap(), udp()),
        (
            file_log::PLUGIN.build.unwrap(),
            json!({ "path": "/var/log/x", "reopen": false }),
        ),
        (syslog::PLUGIN.build.unwrap(), severities),
    ];
    for (make, config) in plugins {
        let handler = bench.handler(make, config);
        let mut sample = Sample::new("GET", "/x", &[]);
        sample.target = b"/?a=%0a%3C0%3Ekern:%20forged%0d%00".to_vec();
        let value: &[u8] = b"\xff\xfe\t\xc2\x85\xe2\x80\xa8{\"source\":\"forged\"}";
        sample.head.headers.append("X-Bad", value).unwrap();
        sample.head.headers.append("X-\"}", "x").unwrap_or_default();
        bench.log(&*handler, &mut sample, 200).await;
        let sent = bench.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        let text = sent[0].1.trim_end_matches('\n');
        assert!(!text.bytes().any(|byte| byte < b' '), "{text}");
        let json = text.strip_prefix("<14>kong: ").unwrap_or(text);
        let entry: Value = serde_json::from_str(json).unwrap();
        assert_eq!(entry["source"], "upstream");
        assert_eq!(
            entry["request"]["querystring"]["a"],
            "\n<0>kern: forged\r\0"
        );
    }
}

fn http(queue: Value) -> Value {
    let mut all = json!({
        "max_batch_size": 1, "max_coalescing_delay": 1, "max_entries": 10_000,
        "max_bytes": null, "max_retry_time": 60, "initial_retry_delay": 0.01,
        "max_retry_delay": 60, "concurrency_limit": 1,
    });
    let changes = queue.as_object().cloned().unwrap();
    all.as_object_mut().unwrap().extend(changes);
    json!({
        "http_endpoint": "http://bob:pw@logs.test:8080/in?x=1",
        "method": "PUT",
        "content_type": "application/json",
        "timeout": 1500,
        "keepalive": 60_000,
        "headers": { "X-Token": "abc" },
        "queue": all,
        "custom_fields_by_lua": { "route": "return nil" },
    })
}

#[tokio::test(start_paused = true)]
async fn http_log_sends_one_entry_as_it_is() {
    let bench = Bench::new(records());
    let handler = bench.handler(http_log::PLUGIN.build.unwrap(), http(json!({})));
    let mut sample = Sample::new("GET", "/x", &[]);
    bench.log(&*handler, &mut sample, 200).await;
    let requests = bench.outside.requests.lock();
    let [request] = &**requests else {
        panic!("{requests:?}")
    };
    assert_eq!(request.method, "PUT");
    assert_eq!(request.url, "http://logs.test:8080/in?x=1");
    assert_eq!(request.timeout, Duration::from_millis(1500));
    let header = |name: &str| {
        let mut named = request.headers.iter().filter(|(given, _)| given == name);
        named
            .next()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!(header("Content-Type").as_deref(), Some("application/json"));
    assert_eq!(header("Authorization").as_deref(), Some("Basic Ym9iOnB3"));
    assert_eq!(header("X-Token").as_deref(), Some("abc"));
    assert_eq!(header("User-Agent").as_deref(), Some("silverback/test"));
    let entry: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(entry["service"]["name"], "s");
}

#[tokio::test(start_paused = true)]
async fn http_log_sends_batches_as_lists_even_of_one() {
    let bench = Bench::new(records());
    let batches = json!({ "max_batch_size": 3, "max_coalescing_delay": 2 });
    let handler = bench.handler(http_log::PLUGIN.build.unwrap(), http(batches));
    for number in 0..4 {
        let mut sample = Sample::new("GET", &format!("/{number}"), &[]);
        bench.log(&*handler, &mut sample, 200).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let requests = bench.outside.requests.lock();
    let bodies: Vec<Vec<Value>> = requests
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let uris = |body: &Vec<Value>| {
        let uris = body.iter().map(|entry| entry["request"]["uri"].clone());
        uris.collect::<Vec<_>>()
    };
    assert_eq!(
        bodies.iter().map(uris).collect::<Vec<_>>(),
        [vec!["/0", "/1", "/2"], vec!["/3"]]
    );
}

#[tokio::test(start_paused = true)]
async fn tcp_log_keeps_its_connection_and_ends_each_entry_with_a_newline() {
    let bench = Bench::new(records());
    let config = json!({
        "host": "logs.test", "port": 514, "timeout": 1000, "keepalive": 60_000,
        "tls": true, "tls_sni": "name.test",
    });
    let handler = bench.handler(tcp_log::PLUGIN.build.unwrap(), config);
    for _ in 0..2 {
        let mut sample = Sample::new("GET", "/x", &[]);
        bench.log(&*handler, &mut sample, 200).await;
    }
    let sent = bench.sent();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert_eq!(
        sent[0],
        (
            "logs.test:514 Some(\"name.test\")".to_owned(),
            "opened".to_owned()
        )
    );
    for (_, line) in &sent[1..] {
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["route"]["id"], ROUTE);
    }
}

#[tokio::test(start_paused = true)]
async fn file_log_appends_lines_and_reopens_as_it_is_told() {
    for reopen in [false, true] {
        let bench = Bench::new(records());
        let config = json!({ "path": "/var/log/x", "reopen": reopen });
        let handler = bench.handler(file_log::PLUGIN.build.unwrap(), config);
        let mut sample = Sample::new("GET", "/x", &[]);
        bench.log(&*handler, &mut sample, 200).await;
        let sent = bench.sent();
        assert_eq!(sent[0].0, format!("/var/log/x {reopen}"));
        assert!(sent[0].1.ends_with("\"workspace_name\":\"default\"}\n"));
    }
}

fn severities(more: Value) -> Value {
    let mut config = json!({
        "log_level": "notice",
        "successful_severity": "info",
        "client_errors_severity": "warning",
        "server_errors_severity": "crit",
    });
    let more = more.as_object().cloned().unwrap();
    config.as_object_mut().unwrap().extend(more);
    config
}

#[tokio::test(start_paused = true)]
async fn syslog_tells_severities_by_status_and_nothing_below_its_level() {
    let bench = Bench::new(records());
    let config = severities(json!({ "facility": "local3" }));
    let handler = bench.handler(syslog::PLUGIN.build.unwrap(), config);
    for (status, priority) in [
        (200, None),
        (404, Some(19 * 8 + 4)),
        (503, Some(19 * 8 + 2)),
    ] {
        let mut sample = Sample::new("GET", "/x", &[]);
        bench.log(&*handler, &mut sample, status).await;
        match priority {
            None => assert!(bench.sent().is_empty()),
            Some(priority) => {
                let entry = bench.entry(&format!("<{priority}>kong: "));
                assert_eq!(entry["response"]["status"], status);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loggly_sends_datagrams_with_structured_data() {
    let bench = Bench::new(records());
    let config = severities(json!({
        "host": "logs.test", "port": 514, "timeout": 1000, "key": "token",
        "tags": ["kong", "a\"]\\b"], "log_level": "debug",
    }));
    let handler = bench.handler(loggly::PLUGIN.build.unwrap(), config);
    let mut sample = Sample::new("GET", "/x", &[]);
    bench.log(&*handler, &mut sample, 200).await;
    let head = "<14>1 1970-01-01T00:00:00Z node.test kong - - \
                [token@41058 tag=\"kong\" tag=\"a\\\"\\]\\\\b\"] ";
    assert_eq!(bench.entry(head)["response"]["status"], 200);
}
