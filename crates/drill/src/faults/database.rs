//! A database that goes away, in every way in which databases do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleet::Stop;
use serde_json::json;

use super::Stage;
use crate::relay::Way;
use crate::wait;

/// How long a delay in each direction is that makes a database slow.
const DELAY: Duration = Duration::from_millis(200);

pub(super) fn stop(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let start = Instant::now();
    stage.cluster.primary().stop(Stop::Immediate)?;
    look_at_admin(stage)?;
    start_without(stage)?;
    wait::pass(stage.outage.saturating_sub(start.elapsed()));
    stage.time("away for", start.elapsed());
    Ok(stage.cluster.primary().resume()?)
}

/// Writes are refused honestly, reads are answered from what the node has.
fn look_at_admin(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let member = &stage.cluster.members[0];
    let (status, _) = member.ask("POST", "/services", &json!({ "host": "a.test" }))?;
    if status != 503 {
        stage.problem(format!(
            "an Admin write was answered with {status}, not 503"
        ));
    }
    let (status, body) = member.ask("GET", "/services/marker", &json!({}))?;
    if status != 200 || !body.contains("marker") {
        stage.problem(format!("an Admin read was answered with {status}"));
    }
    Ok(())
}

/// A node is killed and started while there is no database.
fn start_without(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let member = &stage.cluster.members[2];
    member.node.kill()?;
    let served = member.start()?;
    stage.time("a node started meanwhile served after", served);
    Ok(())
}

pub(super) fn freeze(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.primary().pause()?;
    wait::pass(stage.hold);
    Ok(stage.cluster.primary().unpause()?)
}

pub(super) fn slow_down(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let relays = || stage.cluster.members.iter().flat_map(|m| &m.relays);
    relays().for_each(|relay| relay.set(Way::Slow(DELAY)));
    let converged = stage.cluster.converge(&stage.cluster.running())?;
    wait::pass(stage.hold);
    relays().for_each(|relay| relay.set(Way::Open));
    match converged {
        Some(converged) => stage.time("a change meanwhile was everywhere after", converged),
        None => stage.problem("a change meanwhile was not served"),
    }
    Ok(())
}

/// Others take all connections, and those of the nodes are ended.
pub(super) fn exhaust(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    const GREEDY: usize = 60;
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE application_name = 'silverback'";
    let database = stage.cluster.primary();
    let over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        for _ in 0..GREEDY {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // Refused as well, from some number on; then it tries again.
                    let _ = database.query("postgres", "SELECT pg_sleep(1)");
                }
            });
        }
        // This needs a connection as well, and has to wait for its turn.
        let ended = wait::until(stage.hold, || database.query("postgres", END).is_ok());
        wait::pass(stage.hold);
        over.store(true, Ordering::SeqCst);
        ended
    });
    if ended.is_none() {
        stage.note("the nodes kept the connections that they had");
    }
    Ok(())
}

pub(super) fn switch(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.primary().stop(Stop::Immediate)?;
    wait::pass(stage.hold);
    stage.cluster.switch()
}
