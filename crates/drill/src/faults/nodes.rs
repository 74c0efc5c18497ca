//! Nodes that end, freeze and start again.

use fleet::Stop;

use super::Stage;
use crate::cluster::Member;
use crate::wait;

pub(super) fn leave_alone(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    wait::pass(stage.hold);
    Ok(())
}

pub(super) fn kill_one(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    kill(stage, &[1])
}

pub(super) fn kill_two(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    kill(stage, &[1, 2])
}

fn kill(stage: &mut Stage<'_>, which: &[usize]) -> anyhow::Result<()> {
    let members: Vec<&Member> = which.iter().map(|at| &stage.cluster.members[*at]).collect();
    for member in &members {
        member.node.kill()?;
    }
    wait::pass(stage.hold);
    for member in members {
        let served = member.start()?;
        stage.time("started again, served after", served);
    }
    Ok(())
}

pub(super) fn freeze(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let node = &stage.cluster.members[1].node;
    node.pause()?;
    wait::pass(stage.hold);
    Ok(node.unpause()?)
}

pub(super) fn rolling_restart(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for member in &stage.cluster.members {
        restart(member)?;
    }
    Ok(())
}

/// As an operator does it: until the load balancer has noticed, the node goes on; then it finishes what it has.
fn restart(member: &Member) -> anyhow::Result<()> {
    member.node.stop()?;
    member.start()?;
    member.wait_until_ready()?;
    Ok(())
}

/// Each of the four parts comes first once or more; the database is the fourth.
const ORDERS: [[usize; 4]; 3] = [[3, 0, 1, 2], [2, 3, 1, 0], [1, 0, 2, 3]];

pub(super) fn restart_in_any_order(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for order in ORDERS {
        for part in order {
            match stage.cluster.members.get(part) {
                Some(member) => restart(member)?,
                None => {
                    stage.cluster.primary().stop(Stop::Fast)?;
                    stage.cluster.primary().resume()?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn power_failure(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.primary().stop(Stop::Immediate)?;
    for member in &stage.cluster.members {
        member.node.kill()?;
    }
    for member in stage.cluster.members.iter().rev() {
        let served = member.start()?;
        stage.time("a node without PostgreSQL served after", served);
    }
    wait::pass(stage.hold);
    Ok(stage.cluster.primary().resume()?)
}
