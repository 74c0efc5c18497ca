//! Targets of upstreams that refuse, reset, stall, answer garbage, have no room, and come back.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use net::dns::DnsSettings;
use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Summary, Try, TryFailure};
use proxy::DataPlaneSettings;
use serde_json::{Value, json};
use snapshot::{Change, PluginTable, Upstream as Pool};
use uuid::Uuid;

use crate::support::{
    Gateway, Upstream, body, eventually, header, record, service_and_route, snapshot, status,
};

const POOL: u128 = 10;

/// A route to an upstream with these targets, all of the same weight.
fn pool(targets: &[String], upstream: Value, service: Value) -> Vec<Change> {
    let mut service = service;
    service["host"] = json!("pool");
    let mut changes = service_and_route(([127, 0, 0, 1], 1).into(), service, json!({}));
    let mut fields = json!({"name": "pool", "algorithm": "round-robin", "slots": 1000});
    for (name, value) in upstream.as_object().into_iter().flatten() {
        fields[name] = value.clone();
    }
    changes.push(record("upstreams", POOL, fields));
    for (number, target) in targets.iter().enumerate() {
        let id = POOL + 1 + number as u128;
        let fields = json!({
            "target": target, "weight": 100, "created_at": number,
            "upstream": {"id": Uuid::from_u128(POOL).to_string()},
        });
        changes.push(record("targets", id, fields));
    }
    changes
}

fn at(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}

fn get(gateway: &Gateway) -> String {
    gateway.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    listener.local_addr().expect("an address")
}

/// An upstream that does something to every request while it is sick, and answers otherwise.
fn moody(sick: fn(&mut std::net::TcpStream)) -> (Upstream, Arc<AtomicBool>) {
    let is_sick = Arc::new(AtomicBool::new(true));
    let own = is_sick.clone();
    let upstream = Upstream::behaving(move |_, stream, next| {
        while next(stream).is_some() {
            if own.load(Ordering::Relaxed) {
                return sick(stream);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback");
        }
    });
    (upstream, is_sick)
}

#[test]
fn no_client_sees_the_fault_of_a_target_that_another_makes_good() {
    type Fault = fn(&mut std::net::TcpStream);
    let faults: [(&str, Fault); 4] = [
        ("closes", |_| {}),
        ("stalls", |stream| {
            let _ = std::io::Read::read(stream, &mut [0]);
        }),
        ("answers garbage", |stream| {
            let _ = stream.write_all(b"hello, world\r\n\r\n");
        }),
        ("breaks off in the head", |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le");
        }),
    ];
    for (fault, behave) in faults {
        let (faulty, is_sick) = moody(behave);
        let good = Upstream::ok();
        let service = json!({"read_timeout": 100, "connect_timeout": 5000});
        let gateway = Gateway::serving(pool(
            &at(&[faulty.address, good.address]),
            json!({}),
            service,
        ));
        for _ in 0..6 {
            assert_eq!(status(&get(&gateway)), 200, "a target that {fault}");
        }
        assert!(!faulty.requests().is_empty(), "nobody asked what {fault}");
        is_sick.store(false, Ordering::Relaxed);
        eventually("it serves when it is well", || {
            body(&get(&gateway)) == "back"
        });
    }
}

#[test]
fn a_target_that_refuses_costs_no_request_of_any_method() {
    let good = Upstream::ok();
    let targets = at(&[refusing(), refusing(), good.address]);
    let gateway = Gateway::serving(pool(&targets, json!({}), json!({})));
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        for _ in 0..3 {
            let answer = gateway.exchange(format!(
                "{method} /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
            ));
            assert_eq!(status(&answer), 200, "{method}");
        }
    }
    assert_eq!(good.requests().len(), 12);
}

#[test]
fn a_request_that_may_have_been_processed_goes_nowhere_else() {
    let closing = Upstream::behaving(|_, stream, next| {
        let _ = next(stream);
    });
    let other = Upstream::behaving(|_, stream, next| {
        let _ = next(stream);
    });
    let targets = at(&[closing.address, other.address]);
    let gateway = Gateway::serving(pool(&targets, json!({}), json!({})));
    for _ in 0..4 {
        let answer = gateway.exchange(
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
        );
        assert_eq!(status(&answer), 502);
    }
    assert_eq!(closing.requests().len() + other.requests().len(), 4);
}

#[test]
fn a_name_that_does_not_resolve_delays_no_request_to_a_known_address() {
    let good = Upstream::ok();
    // Nobody answers questions there; a question takes seconds to be given up.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let dns = DnsSettings {
        servers: vec![silent.local_addr().expect("an address")],
        ..DnsSettings::default()
    };
    let targets = [good.address.to_string(), "hangs.test:80".to_owned()];
    let gateway = Gateway::resolving(dns, pool(&targets, json!({}), json!({})));
    for _ in 0..5 {
        assert_eq!(status(&get(&gateway)), 200);
    }
    // Somebody asked, and still waits: no test would see this if the requests had waited as well.
    let waits = silent.set_nonblocking(true).is_ok() && silent.recv(&mut [0; 512]).is_ok();
    assert!(waits, "the name was not asked for");
}

/// A pool of one target that answers when it is told to, with settings of our own.
struct Limited {
    gateway: Gateway,
    upstream: Upstream,
    answer: mpsc::Sender<()>,
}

fn limited(tags: Value, service: Value) -> Limited {
    let (answer, told) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::behaving(move |_, stream, next| {
        while next(stream).is_some() {
            if told.lock().expect("a lock").recv().is_err() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let targets = at(&[upstream.address]);
    let gateway = Gateway::serving(pool(&targets, json!({"tags": tags}), service));
    Limited {
        gateway,
        upstream,
        answer,
    }
}

#[test]
fn a_target_takes_as_many_requests_as_it_may_and_the_others_wait_or_are_refused() {
    let tags = json!(["silverback:max_connections=1", "silverback:max_pending=1"]);
    let limited = limited(tags, json!({"connect_timeout": 20000}));
    let request = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut first = limited.gateway.connect();
    first.send(request);
    eventually("the target has it", || {
        limited.upstream.requests().len() == 1
    });
    let mut second = limited.gateway.connect();
    second.send(request);
    let queue = || {
        let groups = limited.gateway.shared.health().groups();
        groups
            .iter()
            .map(|(_, group)| group.queue().len())
            .sum::<u32>()
    };
    eventually("the second waits", || queue() == 1);
    let third = get(&limited.gateway);
    assert_eq!(status(&third), 503, "{third}");
    assert!(third.contains("all targets of the upstream are busy"));
    assert_eq!(
        limited.upstream.requests().len(),
        1,
        "the second has waited"
    );
    for _ in 0..2 {
        limited.answer.send(()).expect("the upstream waits");
    }
    assert_eq!(status(&first.rest()), 200);
    assert_eq!(status(&second.rest()), 200);
    limited.answer.send(()).expect("the upstream waits");
    assert_eq!(status(&get(&limited.gateway)), 200, "nothing was lost");
}

#[test]
fn who_waits_for_a_target_waits_no_longer_than_for_a_connection() {
    let tags = json!(["silverback:max_connections=1", "silverback:max_pending=5"]);
    let limited = limited(tags, json!({"connect_timeout": 50}));
    let mut first = limited.gateway.connect();
    first.send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    eventually("the target has it", || {
        limited.upstream.requests().len() == 1
    });
    assert_eq!(status(&get(&limited.gateway)), 503);
    limited.answer.send(()).expect("the upstream waits");
    assert_eq!(status(&first.rest()), 200);
}

/// Marks a target of the pool.
fn mark(gateway: &Gateway, address: SocketAddr, healthy: bool) {
    let snapshot = gateway.shared.snapshot();
    let pool: &Arc<Pool> = snapshot.upstream("pool").expect("an upstream");
    let health = gateway.shared.health();
    let group = health.group(pool.id, &pool.name, &pool.healthchecks);
    let known = group.known().into_iter();
    for ((_, _, port), health) in known {
        if port == address.port() {
            health.mark(healthy);
        }
    }
}

fn passive() -> Value {
    json!({"passive": {"unhealthy": {"http_failures": 100, "http_statuses": [500]}}})
}

#[test]
fn below_the_panic_threshold_health_is_ignored() {
    for (tags, expected) in [
        (json!(["silverback:panic_threshold=50"]), 200),
        (json!([]), 503),
    ] {
        let (a, b) = (Upstream::ok(), Upstream::ok());
        let fields = json!({"healthchecks": passive(), "tags": tags});
        let targets = at(&[a.address, b.address]);
        let gateway = Gateway::serving(pool(&targets, fields, json!({})));
        assert_eq!(status(&get(&gateway)), 200);
        mark(&gateway, a.address, false);
        let before = a.requests().len();
        for _ in 0..4 {
            assert_eq!(status(&get(&gateway)), 200);
        }
        assert_eq!(a.requests().len(), before, "half is not less than half");
        mark(&gateway, b.address, false);
        for _ in 0..4 {
            assert_eq!(status(&get(&gateway)), expected);
        }
    }
}

#[test]
fn a_target_that_recovers_begins_with_a_little_of_its_share() {
    let (a, b) = (Upstream::ok(), Upstream::ok());
    // So slowly that it is at nothing for as long as the test runs.
    let fields = json!({"healthchecks": passive(), "tags": ["silverback:slow_start=86400"]});
    let targets = at(&[a.address, b.address]);
    let gateway = Gateway::serving(pool(&targets, fields, json!({})));
    for _ in 0..4 {
        assert_eq!(status(&get(&gateway)), 200);
    }
    assert_eq!((a.requests().len(), b.requests().len()), (2, 2));
    mark(&gateway, a.address, false);
    mark(&gateway, a.address, true);
    for _ in 0..10 {
        assert_eq!(status(&get(&gateway)), 200);
    }
    assert_eq!((a.requests().len(), b.requests().len()), (2, 12));
    mark(&gateway, b.address, false);
    assert_eq!(status(&get(&gateway)), 200);
    assert_eq!(a.requests().len(), 3, "alone it serves");
}

#[test]
fn tries_are_counted_for_each_target() {
    let good = Upstream::ok();
    let bad = refusing();
    let gateway = Gateway::serving(pool(&at(&[bad, good.address]), json!({}), json!({})));
    for _ in 0..4 {
        assert_eq!(status(&get(&gateway)), 200);
    }
    let groups = gateway.shared.health().groups();
    let known = groups[0].1.known().into_iter();
    for ((_, _, port), health) in known {
        let [answered, failed, ..] = health.traffic();
        if port == bad.port() {
            assert!(answered == 0 && failed > 0);
        } else {
            assert_eq!((answered, failed), (4, 0));
        }
    }
}

/// A plugin that keeps what was tried.
#[derive(Debug, Clone, Default)]
struct Keeping(Arc<Mutex<Vec<Vec<Try>>>>);

impl PluginTable for Keeping {
    fn priority(&self, _: &str) -> Option<i64> {
        Some(1)
    }

    fn build(&self, _: &str, _: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        Ok(Arc::new(self.clone()))
    }
}

impl Handler for Keeping {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Log])
    }

    fn log(&self, _: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.0.lock().expect("a lock").push(summary.tries.to_vec());
    }
}

#[test]
fn every_try_is_there_for_the_log() {
    let good = Upstream::ok();
    let (bad, closing) = (
        refusing(),
        Upstream::behaving(|_, stream, next| drop(next(stream))),
    );
    let targets = at(&[bad, closing.address, good.address]);
    let mut changes = pool(&targets, json!({}), json!({}));
    let plugin = json!({"name": "keeping", "enabled": true, "protocols": ["http"], "config": {}});
    changes.push(record("plugins", 99, plugin));
    let keeping = Keeping::default();
    let snapshot = snapshot(changes, Arc::new(keeping.clone()));
    let gateway = Gateway::of(snapshot, DataPlaneSettings::default(), |_| {});
    let logged = || keeping.0.lock().expect("a lock").clone();
    for request in 0..6 {
        assert_eq!(status(&get(&gateway)), 200);
        eventually("it is logged", || logged().len() > request);
    }
    let mut seen = Vec::new();
    for tries in logged() {
        let (last, failed) = tries.split_last().expect("a try");
        assert_eq!((last.address, last.failed), (good.address, None));
        let code = Some(TryFailure { code: 502 });
        assert!(failed.iter().all(|one| one.failed == code), "{tries:?}");
        seen.extend(failed.iter().map(|one| one.address));
        seen.extend(last.keep_alive.then_some(last.address));
    }
    for address in [bad, closing.address, good.address] {
        assert!(seen.contains(&address), "{address} in {seen:?}");
    }
}

#[test]
fn the_names_in_service_records_are_sent_if_that_is_set() {
    // Without a name server that knows such records, a name from the hosts file has an address, and stays the host.
    let upstream = Upstream::ok();
    let targets = [format!("localhost:{}", upstream.address.port())];
    let fields = json!({"use_srv_name": true});
    let gateway = Gateway::serving(pool(&targets, fields, json!({})));
    assert_eq!(status(&get(&gateway)), 200);
    let host = format!("localhost:{}", upstream.address.port());
    assert_eq!(header(&upstream.request(), "host"), Some(&*host));
}
