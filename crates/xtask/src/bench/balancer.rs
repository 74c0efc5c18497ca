//! What choosing a target costs, and what it costs to probe very many.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fleet::free_ports;
use serde_json::json;

use crate::bench::Plan;
use crate::bench::clients;
use crate::bench::gateway::{Configuration, LOAD_CORE, Upstream, silverback, start_nginx};
use crate::bench::report::Report;
use crate::steps::{cargo, output, say};

/// Targets that are probed: so many upstreams, each with a target on every port.
const UPSTREAMS: usize = 100;
const PORTS: usize = 100;

/// How often each of them is probed, in seconds.
const INTERVAL: u64 = 10;

/// How much of a core the probes may cost.
const GOAL: f64 = 0.05;

/// How long probes may take that should take a minute.
const LONGEST: Duration = Duration::from_secs(180);

/// Measures picks in a program of their own, and probes on a real node.
pub fn measure(
    plan: &Plan,
    _upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    picks(report)?;
    probes(plan, folder, report)
}

/// The picks of the crate's own benchmark.
fn picks(report: &mut Report) -> anyhow::Result<()> {
    say("== picks");
    let text = output(cargo().args(["bench", "--quiet", "--package", "balancer"]))?;
    for (algorithm, goal) in [
        ("RoundRobin", Some(100)),
        ("ConsistentHashing", Some(100)),
        ("LeastConnections", Some(300)),
        ("Latency", None),
    ] {
        for (case, meaning) in [
            ("EqualWeights", "equal weights"),
            ("Weights", "various weights"),
            ("MostUnhealthy", "two of three unhealthy"),
        ] {
            let name = format!("{algorithm} {case}: ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            let time = line.and_then(|line| line.split_once("ns ")?.0.parse::<u64>().ok());
            let time = time.with_context(|| format!("no time of {name}in {text:?}"))?;
            report.balancer(
                &format!("A pick among 1,000 targets, {algorithm}, {meaning}"),
                &format!("{time} ns"),
                &goal.map_or("–".to_owned(), |goal| format!("{goal} ns")),
                goal.is_none_or(|goal| time <= goal),
            );
        }
    }
    Ok(())
}

/// The share of a core that a node uses while it does nothing but probe.
fn probes(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("== probes of {} targets", UPSTREAMS * PORTS));
    let ports: [u16; PORTS] = free_ports()?;
    let [status] = free_ports()?;
    let listens: String = ports
        .iter()
        .map(|port| format!("listen 127.0.0.1:{port} backlog=4096; "))
        .collect();
    let server = format!(
        "server {{ {listens} location / {{ return 200 \"ok\"; }} }}
         server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}"
    );
    let backend = folder.join("targets");
    fs::create_dir_all(&backend)?;
    let _backend = start_nginx(&backend, LOAD_CORE, &server, status, None)?;
    let file = folder.join("targets.json");
    fs::write(&file, declaration(&ports).to_string())?;
    let gateway = silverback(
        &plan.silverback,
        &folder.join("prober"),
        &Configuration::File(&file),
        None,
    )?;
    let count = (UPSTREAMS * PORTS) as u64;
    let rounds = if plan.quick { 2 } else { 6 };
    // The first probes of all come within an interval, beside the start of the node.
    wait_for(status, count)?;
    let (began, cpu) = (Instant::now(), gateway.process.cpu_time()?);
    wait_for(status, (1 + rounds) * count)?;
    let seconds = began.elapsed().as_secs_f64();
    let share = (gateway.process.cpu_time()? - cpu).as_secs_f64() / seconds;
    let rate = (rounds * count) as f64 / seconds;
    let wanted = count as f64 / INTERVAL as f64;
    if rate < wanted * 0.9 {
        bail!("{rate:.0} probes a second instead of {wanted:.0}");
    }
    report.balancer(
        &format!("{count} targets, probed every {INTERVAL} s: share of a core"),
        &format!(
            "{:.1} % ({rate:.0} probes a second, {:.0} µs each)",
            share * 100.0,
            share * 1e6 / rate
        ),
        &format!("{:.0} %", GOAL * 100.0),
        share <= GOAL,
    );
    Ok(())
}

fn declaration(ports: &[u16]) -> serde_json::Value {
    let targets: Vec<_> = ports
        .iter()
        .map(|port| json!({"target": format!("127.0.0.1:{port}")}))
        .collect();
    let checks = json!({"active": {
        "healthy": {"interval": INTERVAL, "successes": 1},
        "unhealthy": {"interval": INTERVAL, "http_failures": 3, "tcp_failures": 3, "timeouts": 3},
    }});
    let upstreams: Vec<_> = (0..UPSTREAMS)
        .map(|number| {
            json!({"name": format!("u{number}.test"), "healthchecks": checks, "targets": targets})
        })
        .collect();
    json!({"_format_version": "3.0", "upstreams": upstreams})
}

/// Waits until the backend has had so many requests.
fn wait_for(status: u16, wanted: u64) -> anyhow::Result<()> {
    let (began, mut seen) = (Instant::now(), 0);
    while seen < wanted {
        if began.elapsed() > LONGEST {
            bail!("{seen} probes instead of {wanted}");
        }
        std::thread::park_timeout(Duration::from_millis(200));
        seen = requests(status)?;
    }
    Ok(())
}

/// How many requests the backend has had.
fn requests(status: u16) -> anyhow::Result<u64> {
    let page = clients::get(status, "/")?;
    let numbers = page
        .lines()
        .skip_while(|line| !line.starts_with("server accepts"))
        .nth(1);
    let requests = numbers.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    requests.with_context(|| format!("no number of requests in {page:?}"))
}
