//! Targets that refuse, reset, stall, answer garbage, and come back: clients get an answer from whoever can give one.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use serde_json::{Value, json};
use testing::{Backend, Node, Place, Then, eventually};

/// An upstream `u` with targets, and a route to it.
fn balance(node: &Node<'_>, healthchecks: &Value, targets: &[SocketAddr], service: &Value) {
    let upstream = json!({ "name": "u.test", "healthchecks": healthchecks });
    node.configure("POST", "/upstreams", &upstream);
    for target in targets {
        let target = json!({ "target": target.to_string() });
        node.configure("POST", "/upstreams/u.test/targets", &target);
    }
    node.add_route("/u", "http://u.test", service);
}

/// The verdict over every target, by address.
fn verdicts(node: &Node<'_>) -> Vec<(String, String)> {
    let health = node.configure("GET", "/upstreams/u.test/health", &Value::Null);
    let targets = health["data"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    targets
        .map(|target| (text(&target["target"]), text(&target["health"])))
        .collect()
}

fn is(node: &Node<'_>, target: SocketAddr, health: &str) -> bool {
    let target = target.to_string();
    verdicts(node).contains(&(target, health.to_owned()))
}

fn passive() -> Value {
    json!({ "passive": { "unhealthy": { "tcp_failures": 1, "timeouts": 1, "http_failures": 1 } } })
}

fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn no_client_sees_the_fault_of_a_target_that_another_makes_good() {
    let reset = Backend::http(|_| Then::AnswerAndReset(Vec::new()));
    let closes = Backend::http(|_| Then::AnswerAndClose(Vec::new()));
    let stalls = Backend::http(|_| Then::Answer(Vec::new()));
    let faults = [
        ("refuses", refusing()),
        ("resets", reset.address()),
        ("closes", closes.address()),
        ("stalls", stalls.address()),
    ];
    for (name, fault) in faults {
        let place = Place::new();
        let node = place.start();
        let good = Backend::saying("here");
        let service = json!({ "read_timeout": 200, "connect_timeout": 200 });
        balance(&node, &passive(), &[fault, good.address()], &service);
        let mut client = node.client();
        for _ in 0..10 {
            let answer = client.get("/u");
            assert_eq!((answer.status, &*answer.text()), (200, "here"), "{name}");
        }
        assert!(
            is(&node, fault, "UNHEALTHY"),
            "{name}: {:?}",
            verdicts(&node)
        );
        assert!(is(&node, good.address(), "HEALTHY"), "{name}");
        let health = node.configure("GET", "/upstreams/u.test/health?reasons=1", &Value::Null);
        assert!(
            health.to_string().contains("\"reason\":\"traffic: "),
            "{name}: {health}"
        );
    }
}

/// What a target does that is ill.
const FAULTS: [fn() -> Then; 5] = [
    || Then::AnswerAndReset(Vec::new()),
    || Then::AnswerAndClose(Vec::new()),
    || Then::Hang,
    || Then::AnswerAndClose(b"hello, world\r\n\r\n".to_vec()),
    || Then::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
];

/// The requests of one client in one turn of faults.
const REQUESTS: usize = 10;

#[test]
fn no_idempotent_request_fails_while_targets_fall_ill_and_recover() {
    let turn = Arc::new(AtomicUsize::new(0));
    // In every turn each of them does something else; in the last all are well.
    let moody = |own: usize| {
        let turn = turn.clone();
        Backend::http(move |_| match turn.load(Ordering::Relaxed) {
            turns if turns > FAULTS.len() => Then::ok(["0", "1", "2", "3"][own]),
            turn => FAULTS
                .get((turn + own) % (FAULTS.len() + 1))
                .map_or_else(|| Then::ok("well"), |fault| fault()),
        })
    };
    let moody = [0, 1, 2, 3].map(moody);
    let good = Backend::saying("good");
    let place = Place::new();
    let node = place.start();
    let active = json!({ "timeout": 0.2,
        "healthy": { "interval": 0.05, "successes": 1 },
        "unhealthy": { "interval": 0.05, "http_failures": 1, "tcp_failures": 1, "timeouts": 1 } });
    let checks = json!({ "active": active, "passive": passive()["passive"] });
    let mut targets = moody.each_ref().map(Backend::address).to_vec();
    targets.extend([refusing(), good.address()]);
    let service = json!({ "retries": 5, "read_timeout": 200, "connect_timeout": 5000 });
    balance(&node, &checks, &targets, &service);
    let node = &node;
    for _ in 0..=FAULTS.len() {
        std::thread::scope(|threads| {
            for method in ["GET", "PUT", "DELETE"] {
                threads.spawn(move || {
                    let mut client = node.client();
                    for _ in 0..REQUESTS {
                        let answer = client.exchange(format!(
                            "{method} /u HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
                        ));
                        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
                    }
                });
            }
        });
        turn.fetch_add(1, Ordering::Relaxed);
    }
    for own in ["0", "1", "2", "3", "good"] {
        eventually("whoever is well gets requests", || {
            node.client().get("/u").text() == own
        });
    }
}

#[test]
fn probes_take_targets_out_and_bring_them_back() {
    let status = Arc::new(AtomicU16::new(200));
    let own = status.clone();
    let moody = Backend::http(move |_| {
        let status = own.load(Ordering::Relaxed);
        Then::AnswerAndClose(
            format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\nmoody").into(),
        )
    });
    let good = Backend::saying("here");
    let gone = refusing();
    let garbage = Backend::http(|_| Then::AnswerAndClose(b"hello, world\n".to_vec()));
    let place = Place::new();
    let node = place.start();
    let active = json!({ "active": {
        "healthy": { "interval": 0.05, "successes": 1 },
        "unhealthy": { "interval": 0.05, "http_failures": 1, "tcp_failures": 1, "timeouts": 1 },
    } });
    let targets = [moody.address(), good.address(), gone, garbage.address()];
    balance(&node, &active, &targets, &json!({ "retries": 0 }));
    eventually("what does not answer is out", || {
        is(&node, gone, "UNHEALTHY") && is(&node, garbage.address(), "UNHEALTHY")
    });
    status.store(500, Ordering::Relaxed);
    eventually("a failing target is out", || {
        is(&node, moody.address(), "UNHEALTHY")
    });
    let mut client = node.client();
    for _ in 0..10 {
        assert_eq!(client.get("/u").text(), "here");
    }
    node.configure(
        "PATCH",
        "/upstreams/u.test",
        &json!({ "tags": ["changed"] }),
    );
    assert!(is(&node, gone, "UNHEALTHY"), "health survives a change");
    status.store(200, Ordering::Relaxed);
    eventually("a target comes back", || {
        is(&node, moody.address(), "HEALTHY")
    });
    eventually("it gets requests", || {
        node.client().get("/u").text() == "moody"
    });
    let shown = json!({ "name": "prometheus", "config": { "upstream_health_metrics": true } });
    node.configure("POST", "/plugins", &shown);
    let metrics = node.status_api("/metrics");
    let line = format!(
        "kong_upstream_target_health{{upstream=\"u.test\",target=\"{gone}\",address=\"{gone}\",state=\"unhealthy\",subsystem=\"http\"}} 1"
    );
    assert!(metrics.text().contains(&line), "{}", metrics.text());
}

#[test]
fn targets_are_marked_by_hand_and_without_any_the_gateway_says_so() {
    let place = Place::new();
    let node = place.start();
    let (a, b) = (Backend::saying("a"), Backend::saying("b"));
    balance(&node, &passive(), &[a.address(), b.address()], &Value::Null);
    let mark = |backend: &Backend, verdict: &str| {
        let path = format!("/upstreams/u.test/targets/{}/{verdict}", backend.address());
        assert_eq!(node.admin("PUT", &path, &json!({})).status, 204);
    };
    let mut client = node.client();
    mark(&a, "unhealthy");
    for _ in 0..10 {
        assert_eq!(client.get("/u").text(), "b");
    }
    mark(&b, "unhealthy");
    assert_eq!(client.get("/u").status, 503);
    let whole = node.configure(
        "GET",
        "/upstreams/u.test/health?balancer_health=1",
        &Value::Null,
    );
    assert_eq!(whole["data"]["health"], "UNHEALTHY");
    mark(&a, "healthy");
    assert_eq!(client.get("/u").text(), "a");
    let off = json!({ "healthchecks": { "passive": { "unhealthy": {
        "tcp_failures": 0, "timeouts": 0, "http_failures": 0,
    } } } });
    node.configure("PATCH", "/upstreams/u.test", &off);
    assert!(is(&node, b.address(), "HEALTHCHECKS_OFF"));
    eventually("without health checks every target serves", || {
        client.get("/u").text() == "b"
    });
}
