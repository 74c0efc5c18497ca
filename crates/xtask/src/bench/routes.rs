//! What many routes cost: time, memory, start, and changes while requests run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bench::Plan;
use crate::bench::cases::interleave;
use crate::bench::clients;
use crate::bench::gateway::{Configuration, Upstream, declare, silverback, silverback_command};
use crate::bench::load::{self, Load};
use crate::bench::report::Report;
use crate::steps::{output, say};

const GET: Load = Load::Get { path: "/1k" };

/// Measures Silverback with one route beside itself with many.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    say(&format!("== {} routes", plan.routes));
    let few = declare(folder, upstream, 0)?;
    let many = declare(folder, upstream, plan.routes)?;
    let start = |name: &str, file: &Path| {
        silverback(
            &plan.silverback,
            &folder.join(name),
            &Configuration::File(file),
            None,
        )
    };

    let gateways = [start("few", &few)?, start("many", &many)?];
    report.memory(
        &format!("{} services and routes", plan.routes),
        None,
        gateways[1].process.resident()?,
        250,
    );
    let rounds = interleave(plan, &gateways, GET, 32, folder)?;
    report.routes(plan.routes, &rounds);
    drop(gateways);

    let some = declare(folder, upstream, 10_000)?;
    report.startup(10_000, start("some", &some)?.startup);

    add_routes(plan, &many, folder, report)
}

/// Adds routes to a store that has many already, while requests run.
fn add_routes(plan: &Plan, many: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    say("== changes under load");
    let prefix = folder.join("store");
    std::fs::create_dir_all(&prefix)?;
    let mut import = silverback_command(
        Command::new(&plan.silverback),
        &prefix,
        &Configuration::Store,
    );
    output(import.args(["config", "db_import"]).arg(many))?;
    let gateway = silverback(&plan.silverback, &prefix, &Configuration::Store, None)?;
    let admin = gateway.admin.context("the Admin API is off")?;
    // Little load: the question is how long a request waits for the change, not for its turn.
    let load = |time| load::run(GET, gateway.http, gateway.https, 2, time, folder);
    load(Duration::from_secs(1))?;
    let time = plan.round.max(Duration::from_secs(3));
    let quiet = load(time)?;
    let changing = std::thread::scope(|scope| {
        let running = scope.spawn(|| load(time));
        for number in 0..20 {
            let body = format!("{{\"name\":\"added-{number}\",\"paths\":[\"/added/{number}\"]}}");
            let answer = clients::post(admin, "/services/upstream/routes", &body)?;
            if !answer.starts_with("HTTP/1.1 201") {
                bail!("a route was not added: {answer}");
            }
        }
        running
            .join()
            .map_err(|_| anyhow::anyhow!("the load generator's thread panicked"))?
    })?;
    report.changes(quiet.max, changing.max);
    Ok(())
}
