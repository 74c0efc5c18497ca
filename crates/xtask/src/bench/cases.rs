//! CPU time and latency of single kinds of requests, gateway beside gateway.

use std::path::Path;
use std::time::Duration;

use crate::bench::Plan;
use crate::bench::gateway::{Configuration, Gateway, Upstream, declare, nginx, silverback};
use crate::bench::load::{self, Load};
use crate::bench::report::{Report, median};
use crate::steps::say;

/// A kind of request, and what its CPU time may be at most, in terms of nginx's.
struct Case {
    title: &'static str,
    load: Load,
    connections: usize,
    goal: f64,
}

const CASES: &[Case] = &[
    Case {
        title: "GET, 1 KiB answer",
        load: Load::Get { path: "/1k" },
        connections: 32,
        goal: 0.9,
    },
    Case {
        title: "GET, 64 KiB answer",
        load: Load::Get { path: "/64k" },
        connections: 32,
        goal: 0.6,
    },
    Case {
        title: "POST, 16 KiB body",
        load: Load::Post,
        connections: 32,
        goal: 0.85,
    },
    Case {
        title: "GET over TLS, 1 KiB",
        load: Load::Tls,
        connections: 32,
        goal: 0.95,
    },
    Case {
        title: "GET over HTTP/2, 1 KiB",
        load: Load::H2,
        connections: 8,
        goal: 1.2,
    },
];

/// One gateway's rounds of a case.
#[derive(Default)]
pub struct Rounds {
    cpu: Vec<f64>,
    p99: Vec<f64>,
    rate: Vec<f64>,
}

impl Rounds {
    /// Microseconds of CPU time for each request.
    pub fn cpu(&self) -> f64 {
        median(&self.cpu)
    }

    /// Milliseconds.
    pub fn p99(&self) -> f64 {
        median(&self.p99)
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        median(&self.rate)
    }
}

/// Measures every case.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let one = declare(folder, upstream, 0)?;
    let gateways = [
        nginx(folder, upstream, None)?,
        silverback(
            &plan.silverback,
            &folder.join("one"),
            &Configuration::File(&one),
            None,
        )?,
    ];
    for case in CASES {
        say(&format!("== {}", case.title));
        let rounds = interleave(plan, &gateways, case.load, case.connections, folder)?;
        report.case(case.title, &rounds, case.goal);
    }
    Ok(())
}

/// Measures two gateways in turns, after a warm-up of each.
pub fn interleave(
    plan: &Plan,
    gateways: &[Gateway; 2],
    load: Load,
    connections: usize,
    folder: &Path,
) -> anyhow::Result<[Rounds; 2]> {
    for gateway in gateways {
        load::run(
            load,
            gateway.http,
            gateway.https,
            connections,
            Duration::from_secs(1),
            folder,
        )?;
    }
    let mut all = [Rounds::default(), Rounds::default()];
    for _ in 0..plan.rounds {
        for (gateway, rounds) in gateways.iter().zip(&mut all) {
            let before = gateway.process.cpu_time()?;
            let outcome = load::run(
                load,
                gateway.http,
                gateway.https,
                connections,
                plan.round,
                folder,
            )?;
            let cpu = gateway.process.cpu_time()?.saturating_sub(before);
            rounds
                .cpu
                .push(cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64);
            rounds.p99.push(outcome.p99.as_secs_f64() * 1e3);
            rounds
                .rate
                .push(outcome.requests as f64 / plan.round.as_secs_f64());
        }
    }
    Ok(all)
}
