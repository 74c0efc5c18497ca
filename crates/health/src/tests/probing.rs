//! The prober against real servers, and names that change.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use net::dns::{DnsSettings, RecordKind, Resolver};
use serde_json::{Value, json};
use stdx::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use super::support::{FAILS, HANGS, NameServer, backend, eventually, listener};
use crate::{AddressHealth, Group, Probe, Prober, Registry, TargetName};

/// A backend whose status can be changed, and which counts its probes.
struct Moody {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    probes: Arc<AtomicUsize>,
}

async fn moody(status: u16) -> Moody {
    let (listener, address) = listener().await;
    let moody = Moody {
        address,
        status: Arc::new(AtomicU16::new(status)),
        probes: Arc::default(),
    };
    let (status, probes) = (moody.status.clone(), moody.probes.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = format!("HTTP/1.0 {} x\r\n\r\n", status.load(Ordering::Relaxed));
            let _ = stream.write_all(answer.as_bytes()).await;
            probes.fetch_add(1, Ordering::Relaxed);
        }
    });
    moody
}

/// An upstream with a running prober.
struct Probed {
    group: Arc<Group>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probed {
    fn start(active: Value, targets: &[(&str, u16)], dns: DnsSettings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let field = Arc::new(json!({ "active": active }));
        let group = Registry::new(clock.clone()).group(Uuid::new_v4(), "u", &field);
        let handle = tokio::runtime::Handle::current();
        let targets = targets.iter().map(|(host, port)| TargetName {
            host: (*host).into(),
            port: *port,
            weight: 100,
        });
        let prober = Prober {
            group: group.clone(),
            probe: Arc::new(Probe {
                active: group.checks().active.clone(),
                host_header: None,
                tls: None,
            }),
            targets: targets.collect(),
            name: "u".into(),
            resolver: Resolver::new(dns, handle, clock.clone()).unwrap(),
            clock,
        };
        Self {
            group,
            task: tokio::spawn(prober.run()),
        }
    }

    /// What is known of the address that has a port, once it is known.
    async fn health(&self, port: u16) -> Arc<AddressHealth> {
        let find = || {
            let known = self.group.known().into_iter();
            known
                .map(|((_, _, own), health)| (own, health))
                .find(|(own, _)| *own == port)
        };
        eventually("the address is known", || find().is_some()).await;
        find().unwrap().1
    }
}

fn every_20_ms() -> Value {
    json!({
        "timeout": 600,
        "healthy": {"interval": 0.02, "successes": 2, "http_statuses": [200]},
        "unhealthy": {"interval": 0.02, "http_failures": 2, "tcp_failures": 2, "http_statuses": [500]},
    })
}

fn names(server: &NameServer) -> DnsSettings {
    DnsSettings {
        servers: vec![server.address],
        order: vec![RecordKind::A],
        ..DnsSettings::default()
    }
}

#[tokio::test]
async fn the_prober_takes_an_address_out_and_brings_it_back() {
    let moody = moody(500).await;
    let target = [("127.0.0.1", moody.address.port())];
    let probed = Probed::start(every_20_ms(), &target, DnsSettings::default());
    let health = probed.health(moody.address.port()).await;
    eventually("it is out", || !health.is_healthy()).await;
    moody.status.store(200, Ordering::Relaxed);
    eventually("it is back", || health.is_healthy()).await;
}

#[tokio::test]
async fn a_target_that_stalls_delays_no_probe_of_another() {
    let stalls = backend(b"").await;
    let moody = moody(200).await;
    let targets = [stalls, moody.address].map(|address| ("127.0.0.1", address.port()));
    let probed = Probed::start(every_20_ms(), &targets, DnsSettings::default());
    // The probe of the one that stalls never ends here.
    let seen = || moody.probes.load(Ordering::Relaxed);
    eventually("many probes", || seen() > 20).await;
    moody.status.store(500, Ordering::Relaxed);
    let health = probed.health(moody.address.port()).await;
    eventually("it is out", || !health.is_healthy()).await;
}

#[tokio::test]
async fn a_verdict_of_somebody_else_is_noticed_at_once() {
    let moody = moody(200).await;
    // Only what is unhealthy is probed.
    let active = json!({"unhealthy": {"interval": 0.02}, "healthy": {"successes": 1, "http_statuses": [200]}});
    let target = [("127.0.0.1", moody.address.port())];
    let probed = Probed::start(active, &target, DnsSettings::default());
    let health = probed.health(moody.address.port()).await;
    health.mark(false);
    eventually("it is probed and comes back", || health.is_healthy()).await;
}

#[tokio::test]
async fn names_that_move_are_followed_and_kept_while_nobody_answers() {
    let here = u32::from(Ipv4Addr::LOCALHOST);
    let server = NameServer::start(u32::from(Ipv4Addr::new(127, 0, 0, 2))).await;
    let moody = moody(500).await;
    let target = [("moves.test", moody.address.port())];
    let probed = Probed::start(every_20_ms(), &target, names(&server));
    let of = |host: &str| {
        let known = probed.group.known().into_iter();
        let mut known = known.filter(|((_, own, _), _)| **own == *host);
        known.next().map(|(_, health)| health)
    };
    let is_out = |host: &str| of(host).is_some_and(|health| !health.is_healthy());
    eventually("nobody listens at the first address", || {
        is_out("127.0.0.2")
    })
    .await;
    server.says.store(here, Ordering::Relaxed);
    eventually("the second address is found", || is_out("127.0.0.1")).await;
    for silence in [FAILS, HANGS] {
        server.says.store(silence, Ordering::Relaxed);
        let asked = server.questions.load(Ordering::Relaxed);
        let questions = || server.questions.load(Ordering::Relaxed);
        eventually("the name is asked for again", || questions() > asked + 1).await;
        let probes = moody.probes.load(Ordering::Relaxed);
        let seen = || moody.probes.load(Ordering::Relaxed);
        eventually("it is probed as before", || seen() > probes + 5).await;
    }
    moody.status.store(200, Ordering::Relaxed);
    eventually("it comes back", || !is_out("127.0.0.1")).await;
}

#[tokio::test]
async fn a_name_server_that_hangs_delays_no_probe_of_an_address() {
    let server = NameServer::start(HANGS).await;
    let moody = moody(500).await;
    let targets = [
        ("hangs.test", 80),
        ("127.0.0.1", moody.address.port()),
        ("too.test", 80),
    ];
    let probed = Probed::start(every_20_ms(), &targets, names(&server));
    let health = probed.health(moody.address.port()).await;
    eventually("it is out", || !health.is_healthy()).await;
}
