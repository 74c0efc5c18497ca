use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use balancer::Address;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::probe::status_of;
use crate::{
    AddressHealth, Checks, Group, Kind, Observation, Probe, Registry, TargetName, Thresholds,
};

const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

fn thresholds(successes: u8, failures: u8) -> Thresholds {
    Thresholds {
        successes,
        http_failures: failures,
        tcp_failures: failures,
        timeouts: failures,
        healthy_statuses: [200, 302].into(),
        unhealthy_statuses: [429, 500, 503].into(),
    }
}

fn see(health: &AddressHealth, observation: Observation, thresholds: &Thresholds) -> bool {
    health.observe(observation, thresholds, "test", || EPOCH)
}

#[test]
fn an_address_begins_healthy_and_falls_at_the_threshold() {
    let (health, limits) = (AddressHealth::default(), thresholds(2, 3));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(health.is_healthy());
    assert!(see(&health, Observation::Status(503), &limits));
    assert!(!health.is_healthy());
    let reason = health.reason().unwrap();
    assert_eq!((&*reason.text, reason.since), ("test: status 503", EPOCH));
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let (health, limits) = (AddressHealth::default(), thresholds(2, 2));
    for _ in 0..10 {
        assert!(!see(&health, Observation::Status(500), &limits));
        assert!(!see(&health, Observation::Status(200), &limits));
    }
    assert!(health.is_healthy());
}

#[test]
fn kinds_of_failures_are_counted_apart() {
    let (health, limits) = (AddressHealth::default(), thresholds(1, 2));
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::TimedOut, &limits));
    assert!(see(&health, Observation::ConnectionFailed, &limits));
}

#[test]
fn an_unhealthy_address_comes_back_after_successes_in_a_row() {
    let (health, limits) = (AddressHealth::default(), thresholds(2, 1));
    assert!(see(&health, Observation::TimedOut, &limits));
    assert!(!see(&health, Observation::Connected, &limits));
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::Connected, &limits));
    assert!(see(&health, Observation::Connected, &limits));
    assert!(health.is_healthy());
    assert_eq!(health.reason(), None);
}

#[test]
fn a_threshold_of_zero_ignores_and_so_does_a_status_in_no_list() {
    let health = AddressHealth::default();
    let limits = Thresholds {
        tcp_failures: 0,
        ..thresholds(1, 1)
    };
    assert!(!see(&health, Observation::ConnectionFailed, &limits));
    assert!(!see(&health, Observation::Status(404), &limits));
    assert!(health.is_healthy());
}

#[test]
fn a_mark_by_hand_holds_until_something_contradicts_it() {
    let (health, limits) = (AddressHealth::default(), thresholds(1, 1));
    health.mark(false, EPOCH);
    assert_eq!(&*health.reason().unwrap().text, "marked unhealthy");
    assert!(!see(&health, Observation::Status(500), &limits));
    assert!(see(&health, Observation::Status(200), &limits));
    health.mark(false, EPOCH);
    health.mark(true, EPOCH);
    assert!(health.is_healthy());
}

proptest! {
    /// The verdict is what a naive reading of the rules gives, whatever is observed.
    #[test]
    fn counting_in_one_word_is_counting(
        steps in proptest::collection::vec(0_u8..4, 0..200),
        successes in 0_u8..4,
        failures in 0_u8..4,
    ) {
        let (health, limits) = (AddressHealth::default(), thresholds(successes, failures));
        let (mut healthy, mut counts) = (true, [0_u8; 4]);
        for step in steps {
            let observation = [
                Observation::Status(200),
                Observation::Status(500),
                Observation::ConnectionFailed,
                Observation::TimedOut,
            ][usize::from(step)];
            let limit = if step == 0 { successes } else { failures };
            if limit > 0 {
                match (healthy, step) {
                    (true, 0) => counts = [0; 4],
                    (false, 1..) => counts[0] = 0,
                    _ => counts[usize::from(step)] += 1,
                }
                if counts[usize::from(step)] >= limit {
                    (healthy, counts) = (!healthy, [0; 4]);
                }
            }
            see(&health, observation, &limits);
            prop_assert_eq!(health.is_healthy(), healthy);
        }
    }

    #[test]
    fn no_status_line_is_too_strange(line in proptest::collection::vec(any::<u8>(), 0..64)) {
        let status = status_of(&line);
        prop_assert!(status.is_none_or(|status| (100..=999).contains(&status)));
    }
}

#[test]
fn the_settings_are_read_as_kong_fills_them_in() {
    let checks = Checks::read(&json!({
        "threshold": 25.5,
        "active": {
            "type": "https", "http_path": "/up", "timeout": 0.5, "concurrency": 3, "https_sni": "a.test",
            "https_verify_certificate": false, "headers": {"x-a": ["1", "2\r\nx-b: 3"]},
            "healthy": {"interval": 0.5, "successes": 2, "http_statuses": [200]},
            "unhealthy": {"interval": 0, "http_failures": 255, "http_statuses": [500]},
        },
        "passive": {"unhealthy": {"timeouts": 7}},
    }));
    let active = &checks.active;
    assert_eq!(
        (active.kind, &*active.path, active.concurrency),
        (Kind::Https, "/up", 3)
    );
    assert_eq!(active.timeout, Duration::from_millis(500));
    assert_eq!(active.healthy_interval, Some(Duration::from_millis(500)));
    assert_eq!(active.unhealthy_interval, None);
    assert_eq!(active.headers, [("x-a".into(), "1".into())]);
    assert_eq!(
        (active.thresholds.successes, active.thresholds.http_failures),
        (2, 255)
    );
    assert_eq!((checks.passive.timeouts, checks.threshold), (7, 25.5));
    assert!(checks.is_on());
    assert!(!Checks::read(&Value::Null).is_on());
    assert!(!Checks::read(&json!({"passive": {"healthy": {"successes": 1}}})).is_on());
}

fn address(port: u16) -> Address {
    Address {
        target: "a.test".into(),
        target_port: port,
        host: "127.0.0.1".into(),
        record: "127.0.0.1".into(),
        port,
        weight: 100,
    }
}

fn passive(failures: u8) -> Arc<Value> {
    Arc::new(json!({"passive": {"unhealthy": {"http_failures": failures}}}))
}

fn is_healthy(group: &Group, port: u16) -> bool {
    group.health(&[address(port)])[0].is_healthy()
}

#[test]
fn what_is_known_survives_a_change_of_the_settings_and_of_weights() {
    let (registry, id) = (Registry::default(), Uuid::new_v4());
    let before = registry.group(id, &passive(1));
    before.health(&[address(1)])[0].mark(false, EPOCH);
    let after = registry.group(id, &passive(5));
    assert!(!is_healthy(&after, 1));
    let heavier = Address {
        weight: 7,
        ..address(1)
    };
    assert!(!after.health(&[heavier])[0].is_healthy());
    assert_ne!(before.turns(), 0);
    assert_eq!(before.turns(), after.turns());
}

#[test]
fn turning_health_checks_off_forgets_and_so_does_a_new_upstream() {
    let (registry, id) = (Registry::default(), Uuid::new_v4());
    let mark = |group: &Group| group.health(&[address(1)])[0].mark(false, EPOCH);
    mark(&registry.group(id, &passive(1)));
    registry.group(id, &passive(0));
    assert!(is_healthy(&registry.group(id, &passive(1)), 1));
    mark(&registry.group(id, &passive(1)));
    registry.retain(|_| false);
    assert!(is_healthy(&registry.group(id, &passive(1)), 1));
}

#[test]
fn an_address_that_is_gone_is_forgotten() {
    let group = Registry::default().group(Uuid::new_v4(), &passive(1));
    for port in [1, 2] {
        group.health(&[address(port)])[0].mark(false, EPOCH);
    }
    group.retain(&[address(2)]);
    assert_eq!(
        (is_healthy(&group, 1), is_healthy(&group, 2)),
        (true, false)
    );
}

/// A backend that reads what comes, answers `answer`, and closes; an empty answer says nothing and stays.
async fn backend(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

async fn ask(kind: &str, address: SocketAddr) -> Observation {
    let checks = Checks::read(&json!({"active": {"type": kind, "timeout": 0.2}}));
    let probe = Probe {
        active: checks.active,
        host_header: None,
        tls: None,
    };
    probe.ask(address, "a.test").await
}

#[tokio::test]
async fn a_probe_tells_what_it_saw() {
    let refused = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let answers = backend(b"HTTP/1.0 204 No Content\r\n\r\n").await;
    assert_eq!(ask("http", answers).await, Observation::Status(204));
    assert_eq!(
        ask("http", backend(b"hello\n").await).await,
        Observation::Garbage
    );
    assert_eq!(ask("http", backend(b"").await).await, Observation::TimedOut);
    assert_eq!(ask("http", refused).await, Observation::ConnectionFailed);
    assert_eq!(ask("tcp", answers).await, Observation::Connected);
    assert_eq!(ask("tcp", refused).await, Observation::ConnectionFailed);
    let garbled = ask("grpc", backend(b"hello\n").await).await;
    assert_eq!(garbled, Observation::ConnectionFailed);
}

#[test]
fn status_lines_are_read_with_care() {
    assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n"), Some(200));
    assert_eq!(status_of(b"HTTP/1.0  503\r\n"), Some(503));
    for line in [
        &b"HTTP/ 200"[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 OK",
        b"SSH-2.0",
        b"",
    ] {
        assert_eq!(status_of(line), None);
    }
}

mod probing {
    use net::dns::{DnsSettings, Resolver};
    use stdx::SystemClock;

    use super::*;
    use crate::Prober;

    /// A backend whose status can be changed.
    async fn moody(status: Arc<AtomicU16>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = format!("HTTP/1.0 {} x\r\n\r\n", status.load(Ordering::Relaxed));
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn the_prober_takes_an_address_out_and_brings_it_back() {
        let status = Arc::new(AtomicU16::new(500));
        let socket = moody(status.clone()).await;
        let clock = Arc::new(SystemClock);
        let field = Arc::new(json!({"active": {
            "healthy": {"interval": 0.02, "successes": 2, "http_statuses": [200]},
            "unhealthy": {"interval": 0.02, "http_failures": 2, "http_statuses": [500]},
        }}));
        let group = Registry::default().group(Uuid::new_v4(), &field);
        let settings = DnsSettings::default();
        let handle = tokio::runtime::Handle::current();
        let prober = Prober {
            group: group.clone(),
            probe: Arc::new(Probe {
                active: group.checks().active.clone(),
                host_header: None,
                tls: None,
            }),
            targets: vec![TargetName {
                host: IpAddr::V4(Ipv4Addr::LOCALHOST).to_string().into(),
                port: socket.port(),
                weight: 100,
            }],
            name: "u".into(),
            resolver: Resolver::new(settings, handle, clock.clone()).unwrap(),
            clock,
        };
        let address = Address {
            target: "127.0.0.1".into(),
            ..address(socket.port())
        };
        let health = group.health(&[address])[0].clone();
        tokio::spawn(prober.run());
        let until = async |healthy: bool| {
            while health.is_healthy() != healthy {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), until(false))
            .await
            .unwrap();
        status.store(200, Ordering::Relaxed);
        tokio::time::timeout(Duration::from_secs(60), until(true))
            .await
            .unwrap();
    }
}
