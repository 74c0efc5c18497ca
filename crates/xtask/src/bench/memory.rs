//! Resident memory: idle, and with many clients that wait.

use std::path::Path;

use crate::bench::Plan;
use crate::bench::clients::IdleClients;
use crate::bench::gateway::{Configuration, Upstream, declare, nginx, silverback};
use crate::bench::report::Report;
use crate::steps::say;

/// Measures gateways that have served nothing yet, and then with idle clients.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    say("== memory");
    let one = declare(folder, upstream, 0)?;
    let gateways = [
        nginx(folder, upstream, None)?,
        silverback(
            &plan.silverback,
            &folder.join("memory"),
            &Configuration::File(&one),
            None,
        )?,
    ];
    let mut idle = [0; 2];
    let mut busy = [0; 2];
    for (number, gateway) in gateways.iter().enumerate() {
        idle[number] = gateway.process.resident()?;
        let clients = IdleClients::open(gateway.http, plan.idle_clients)?;
        busy[number] = gateway.process.resident()?;
        drop(clients);
    }
    report.memory("idle", Some(idle[0]), idle[1], 30);
    report.memory(
        &format!("{} idle keep-alive clients", plan.idle_clients),
        Some(busy[0]),
        busy[1],
        50,
    );
    Ok(())
}
