//! A disk without room.

use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;

use super::Stage;
use crate::wait;

pub(super) fn fill(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let disk = stage
        .cluster
        .disk
        .as_ref()
        .context("no node has a disk of its own")?;
    let path = disk.path().join("filler");
    let mut file = File::create(&path).context("a file that fills the disk")?;
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let converged = stage.cluster.converge(&stage.cluster.running())?;
    // The one whose disk this is.
    if let Some(member) = stage.cluster.members.first() {
        member.node.stop()?;
        let served = member.start()?;
        stage.time("restarted meanwhile, served after", served);
    }
    wait::pass(stage.hold);
    std::fs::remove_file(&path).context("the disk cannot be emptied")?;
    match converged {
        Some(converged) => stage.time("a change meanwhile was everywhere after", converged),
        None => stage.problem("a change meanwhile was not served"),
    }
    Ok(())
}
