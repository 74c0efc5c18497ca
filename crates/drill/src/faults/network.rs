//! Ways between parts that are cut: nothing passes, and nobody is told.

use anyhow::Context as _;

use super::Stage;
use crate::relay::Way;
use crate::wait;

pub(super) fn cut_from_database(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let [first, cut, third] = stage.cluster.members.as_slice() else {
        anyhow::bail!("three nodes are needed");
    };
    cut.relays.iter().for_each(|relay| relay.set(Way::Cut));
    let converged = stage.cluster.converge(&[first, third])?;
    wait::pass(stage.hold);
    cut.relays.iter().for_each(|relay| relay.set(Way::Open));
    match converged {
        Some(converged) => stage.time("a change meanwhile was on the others after", converged),
        None => stage.problem("a change meanwhile was not served by the others"),
    }
    Ok(())
}

pub(super) fn cut_off(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let namespace = stage.cluster.namespace.as_ref();
    let namespace = namespace.context("no node is in a namespace")?;
    namespace.pull()?;
    wait::pass(stage.hold);
    namespace.plug()
}
