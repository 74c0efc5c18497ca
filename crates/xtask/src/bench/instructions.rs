//! User instructions for each request, counted by callgrind.
//!
//! A gateway runs under callgrind twice, for few and for many requests over one connection, and the difference is
//! divided: what starting costs falls out.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::bench::Plan;
use crate::bench::clients::KeepAlive;
use crate::bench::gateway::{Configuration, Gateway, Upstream, declare, nginx, silverback};
use crate::bench::report::Report;
use crate::steps::say;

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// Counts for both gateways.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    say("== instructions");
    let one = declare(folder, upstream, 0)?;
    let prefix = folder.join("instructions");
    let configuration = Configuration::File(&one);
    let theirs = count(folder, |counter| nginx(folder, upstream, Some(counter)))?;
    // What a first start leaves in the prefix, such as keys, must not count.
    drop(silverback(&plan.silverback, &prefix, &configuration, None)?);
    let ours = count(folder, |counter| {
        silverback(&plan.silverback, &prefix, &configuration, Some(counter))
    })?;
    report.instructions(theirs, ours);
    Ok(())
}

/// A program that runs another one and counts; it writes what it counted to a file for each process.
pub fn callgrind(output: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--trace-children=yes"]);
    command.arg(format!(
        "--callgrind-out-file={}/callgrind.%p",
        output.display()
    ));
    command
}

fn count(folder: &Path, start: impl Fn(&Path) -> anyhow::Result<Gateway>) -> anyhow::Result<u64> {
    let run = |requests: u64| {
        let counts = folder.join(format!("counts-{requests}"));
        let _ = fs::remove_dir_all(&counts);
        fs::create_dir_all(&counts)?;
        let gateway = start(&counts)?;
        let mut client = KeepAlive::open(gateway.http)?;
        for _ in 0..requests {
            client.get()?;
        }
        // It writes its counts when it ends.
        drop((client, gateway));
        total(&counts)
    };
    let (few, many) = (run(FEW)?, run(MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// The instructions of all processes that left a file.
fn total(counts: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for file in fs::read_dir(counts)? {
        let text = fs::read_to_string(file?.path())?;
        let line = text.lines().find_map(|line| {
            line.strip_prefix("totals:")
                .or(line.strip_prefix("summary:"))
        });
        sum += line
            .context("callgrind wrote no total")?
            .trim()
            .parse::<u64>()?;
    }
    Ok(sum)
}
