//! The drill from start to end: a cluster, one fault after the other, a table.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::arguments::Arguments;
use crate::cluster::{Cluster, Extras, Limited};
use crate::faults::{ALL, Fault, Needs, Stage};
use crate::load::{Load, Method};
use crate::report::{Outcome, Row, table};
use crate::{say, wait};

/// How long requests are sent before and after a fault.
const CALM: Duration = Duration::from_secs(1);

/// Requests a second: for a look, and for figures.
const RATES: (u32, u32) = (200, 2000);

/// How long faults last: in the quick drill, and in the full one, where clients do not have the patience for it.
const HOLDS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// How long the database is away.
const OUTAGES: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(300));

/// Runs the drill; says whether clients noticed nothing that they should not have.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let wanted: Vec<&Fault> = ALL
        .iter()
        .filter(|fault| fault.quick || !arguments.quick)
        .filter(|fault| {
            let only = arguments.only.as_deref().unwrap_or_default();
            fault.name.contains(only)
        })
        .collect();
    if arguments.list {
        wanted.iter().for_each(|fault| say(fault.name));
        return Ok(true);
    }
    anyhow::ensure!(!wanted.is_empty(), "no fault is called so");
    let pick = |(quick, full): (Duration, Duration)| if arguments.quick { quick } else { full };
    let rate = match arguments.rate {
        Some(rate) => rate,
        None if arguments.quick => RATES.0,
        None => RATES.1,
    };
    let extras = Extras {
        standby: wanted.iter().any(|fault| fault.needs == Needs::Standby),
        root: nix::unistd::Uid::effective().is_root()
            && wanted.iter().any(|fault| fault.needs == Needs::Root),
    };
    let program = std::path::absolute(&arguments.binary)?;
    say(&format!("starting a cluster of {}", program.display()));
    let cluster = Cluster::start(&program, extras).context("the cluster does not start")?;
    let rate = match arguments.rate {
        Some(rate) => rate,
        None => sustained(&cluster, rate)?,
    };
    say(&format!("{rate} requests a second"));
    let mut rows = Vec::new();
    let mut good = true;
    for fault in wanted {
        let mut outcome = Outcome {
            may_fail: fault.may_fail.limit(),
            ..Outcome::default()
        };
        let untried = fault.needs == Needs::Root && !extras.root;
        let done = if untried {
            Err("needs root's rights".to_owned())
        } else {
            let stage = Stage {
                cluster: &cluster,
                hold: pick(HOLDS),
                outage: arguments
                    .outage
                    .map_or_else(|| pick(OUTAGES), Duration::from_secs),
                outcome: &mut outcome,
            };
            attempt(fault, stage, rate).map_err(|error| format!("{error:#}"))
        };
        let row = Row {
            fault: fault.name.to_owned(),
            outcome: done.map(|()| outcome),
        };
        say(&row.to_line());
        if row
            .outcome
            .as_ref()
            .is_ok_and(|outcome| outcome.converged.is_none())
        {
            say(&cluster.last_words());
        }
        good &= row.is_good() || untried;
        let broken = row.outcome.is_err() && !untried;
        rows.push(row);
        if broken {
            say("the cluster is not as it was: the drill ends here");
            break;
        }
    }
    if let Some(path) = &arguments.output {
        write(path, &rows)?;
    }
    Ok(good)
}

/// The rate wished for, or what is left of it on a machine on which clients, nodes and database share too little.
fn sustained(cluster: &Cluster, wished: u32) -> anyhow::Result<u32> {
    const LOWEST: u32 = 100;
    const SLOW: Duration = Duration::from_millis(100);
    let mut rate = wished;
    loop {
        let load = Load::start(cluster.traffic(Limited::Not, Method::Get, rate))?;
        wait::pass(CALM);
        let tally = load.finish()?;
        let enough = tally.sent >= u64::from(rate) * 9 / 10;
        if (enough && tally.slowest < SLOW) || rate <= LOWEST {
            return Ok(rate);
        }
        rate = (rate / 2).max(LOWEST);
    }
}

/// One fault under load, and what came of it.
fn attempt(fault: &Fault, mut stage: Stage<'_>, rate: u32) -> anyhow::Result<()> {
    let cluster = stage.cluster;
    let load = Load::start(cluster.traffic(fault.limited, fault.method, rate))?;
    wait::pass(CALM);
    let done = (fault.act)(&mut stage).and_then(|()| cluster.converge(&cluster.running()));
    wait::pass(CALM);
    stage.outcome.tally = load.finish()?;
    stage.outcome.converged = done?;
    Ok(())
}

/// Replaces the table in a document, or makes a document of it.
fn write(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    const BEGIN: &str = "<!-- drill -->\n";
    const END: &str = "<!-- /drill -->\n";
    let before = std::fs::read_to_string(path).unwrap_or_else(|_| format!("{BEGIN}{END}"));
    let (Some(begin), Some(end)) = (before.find(BEGIN), before.find(END)) else {
        anyhow::bail!("{} has no place for the table", path.display());
    };
    let text = format!(
        "{}{}{}",
        &before[..begin + BEGIN.len()],
        table(rows),
        &before[end..]
    );
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
