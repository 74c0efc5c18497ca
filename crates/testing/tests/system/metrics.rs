//! A real Prometheus that scrapes three nodes under traffic: every query of the dashboards, ours and the one that Kong
//! publishes, and every rule finds data.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use fleet::{Prometheus, Redis, find_program, http};
use serde_json::{Value, json};
use testing::{Backend, Cluster, Node, Place, Then, eventually, eventually_answers};

const KONG_DASHBOARD: &str = include_str!("metrics/kong_dashboard.promql");

/// What promtool has against names that Kong gave.
const KONGS_OWN: [&str; 6] = [
    "kong_bandwidth_bytes counter metrics should have \"_total\" suffix",
    "kong_kong_latency_ms metric names should not contain abbreviated units",
    "kong_nginx_connections_total non-counter metrics should not have \"_total\" suffix",
    "kong_nginx_requests_total non-counter metrics should not have \"_total\" suffix",
    "kong_request_latency_ms metric names should not contain abbreviated units",
    "kong_upstream_latency_ms metric names should not contain abbreviated units",
];

fn deploy(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    std::fs::read_to_string(path.join(name)).unwrap()
}

fn all_switches() -> Value {
    json!({ "name": "prometheus", "config": {
        "per_consumer": true, "status_code_metrics": true, "latency_metrics": true,
        "bandwidth_metrics": true, "upstream_health_metrics": true, "ai_metrics": true,
    } })
}

/// An upstream with one good and one failing target, a key, and all switches.
fn configure(node: &Node<'_>, good: &Backend, failing: &Backend) {
    let health = json!({ "active": {
        "healthy": { "interval": 0.1, "successes": 1 },
        "unhealthy": { "interval": 0.1, "http_failures": 1, "tcp_failures": 1, "timeouts": 1 },
    } });
    let upstream = json!({ "name": "u.test", "healthchecks": health });
    node.configure("POST", "/upstreams", &upstream);
    for backend in [good, failing] {
        let target = json!({ "target": backend.address().to_string() });
        node.configure("POST", "/upstreams/u.test/targets", &target);
    }
    node.add_route("/u", "http://u.test", &Value::Null);
    let key_auth = json!({ "name": "key-auth", "config": { "anonymous": null } });
    node.configure("POST", "/services/u/plugins", &key_auth);
    node.configure("POST", "/consumers", &json!({ "username": "bob" }));
    node.configure("POST", "/consumers/bob/key-auth", &json!({ "key": "k" }));
    let http_log = json!({ "name": "http-log", "config": { "http_endpoint": good.url() } });
    node.configure("POST", "/plugins", &http_log);
    node.configure("POST", "/plugins", &all_switches());
}

/// The result of a query at this moment.
fn ask(prometheus: &Prometheus, query: &str) -> Vec<Value> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/query?query={escaped}");
    let answer = http::get(prometheus.address(), &path).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], "success", "{query}: {body}");
    body["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Every value of a member with this name.
fn members(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(all) => {
            for (key, value) in all {
                match value {
                    Value::String(text) if key == name => found.push(text.clone()),
                    _ => members(value, name, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| members(value, name, found)),
        _ => {}
    }
}

/// A query as Grafana sends it when everything is chosen.
fn filled_in(query: &str) -> String {
    ["instance", "service", "route", "upstream"]
        .iter()
        .fold(query.to_owned(), |query, name| {
            query.replace(&format!("${name}"), ".*")
        })
}

/// The names of metrics in an expression.
fn names(expression: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = expression.split(|letter| !is_part(letter));
    let starts = ["kong_", "silverback_", "silverback:", "process_"];
    let is_metric = |word: &&str| starts.iter().any(|start| word.starts_with(start));
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Everything that somebody asks Prometheus: dashboards, and what the expressions of alerts are made of.
fn queries(prometheus: &Prometheus) -> BTreeSet<String> {
    let dashboard: Value =
        serde_json::from_str(&deploy("grafana/dashboards/silverback.json")).unwrap();
    let mut queries = Vec::new();
    members(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 40, "{}", queries.len());
    let kongs = KONG_DASHBOARD.lines().filter(|line| !line.starts_with('#'));
    queries.extend(kongs.map(str::to_owned));
    let rules = http::get(prometheus.address(), "/api/v1/rules").unwrap();
    let rules: Value = serde_json::from_slice(&rules.body).unwrap();
    let mut expressions = Vec::new();
    members(&rules, "query", &mut expressions);
    assert!(expressions.len() > 15, "{rules}");
    queries.extend(expressions.iter().flat_map(|expression| names(expression)));
    queries.iter().map(|query| filled_in(query)).collect()
}

/// The rules that Prometheus could not evaluate, or has not yet.
fn broken_rules(prometheus: &Prometheus) -> Vec<String> {
    let rules = http::get(prometheus.address(), "/api/v1/rules").unwrap();
    let rules: Value = serde_json::from_slice(&rules.body).unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let all = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let broken = all.filter(|rule| rule["health"] != "ok");
    broken.map(Value::to_string).collect()
}

fn traffic(nodes: &[Node<'_>]) {
    for node in nodes {
        let mut client = node.client();
        for head in ["apikey: k\r\n", ""] {
            client.send(format!("GET /u HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
            client.receive();
        }
    }
}

#[test]
fn every_query_of_the_dashboards_and_every_rule_finds_data() {
    let good = Backend::saying("here");
    let failing = Backend::http(|_| {
        Then::AnswerAndClose(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let cluster = Cluster::new(3);
    let nodes: [Node<'_>; 3] = cluster.start();
    configure(&nodes[0], &good, &failing);
    let redis = Redis::start().unwrap();
    let limit = json!({ "name": "rate-limiting", "config": {
        "year": 1_000_000, "policy": "redis", "redis": { "host": "127.0.0.1", "port": redis.port() }, "sync_rate": 0.1,
    } });
    nodes[0].configure("POST", "/services/u/plugins", &limit);
    for node in &nodes {
        eventually_answers(node, "/u", 401);
    }
    let targets: Vec<String> = (0..3)
        .map(|number| format!("'127.0.0.1:{}'", cluster.place(number).status))
        .collect();
    let configuration = format!(
        "global: {{ scrape_interval: 500ms, evaluation_interval: 500ms }}\n\
         rule_files: [silverback.rules.yml]\n\
         scrape_configs:\n- job_name: silverback\n  static_configs: [{{ targets: [{}] }}]\n",
        targets.join(", ")
    );
    let rules = deploy("prometheus/silverback.rules.yml");
    let files = [("silverback.rules.yml", &*rules)];
    let prometheus = Prometheus::start(&configuration, &files).unwrap();
    for query in queries(&prometheus) {
        eventually(&format!("{query} finds data"), || {
            traffic(&nodes);
            !ask(&prometheus, &query).is_empty()
        });
    }
    eventually("every rule is evaluated", || {
        broken_rules(&prometheus).is_empty()
    });
    let up = ask(&prometheus, "count(up == 1)");
    assert_eq!(up[0]["value"][1], "3", "{up:?}");
    let out = ask(
        &prometheus,
        "sum(kong_upstream_target_health{state=\"unhealthy\"})",
    );
    assert_eq!(out[0]["value"][1], "3", "{out:?}");
}

/// What promtool says to a page.
fn complaints(page: &[u8]) -> Vec<String> {
    let mut promtool = Command::new(find_program("promtool").unwrap())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn promtool_has_nothing_against_the_page_but_some_names_of_kong() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let place = Place::new();
    let nodes = [place.start()];
    let node = &nodes[0];
    configure(node, &one, &other);
    eventually_answers(node, "/u", 401);
    traffic(&nodes);
    let page = node.status_api("/metrics");
    let mut said = complaints(&page.body);
    said.sort();
    assert_eq!(said, KONGS_OWN);
    // Both APIs show the same families.
    let families = |page: &str| -> BTreeSet<String> {
        let lines = page.lines().filter(|line| line.starts_with("# TYPE"));
        lines.map(str::to_owned).collect()
    };
    let of_admin = node.admin("GET", "/metrics", &Value::Null);
    assert_eq!(families(&page.text()), families(&of_admin.text()));
    let documented = include_str!("../../../../docs/metrics.md");
    for line in families(&page.text()) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(documented.contains(&format!("| `{name}` |")), "{name}");
    }
}
