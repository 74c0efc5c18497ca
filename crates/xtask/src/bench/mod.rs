//! `cargo xtask bench`: Silverback beside Debian's nginx, on the same machine, in the same minutes.
//!
//! Each gateway has one worker and is pinned to the first core; the upstream and the load generator share the second.
//! Rounds are interleaved (nginx, Silverback, nginx, ...), so that whatever else the machine does hits both, and the
//! medians are compared. What is compared is CPU time for each request, which a busy machine disturbs least.

mod accuracy;
mod balancer;
mod cases;
mod clients;
mod cluster;
mod credentials;
mod gateway;
mod instructions;
mod load;
mod memory;
mod plugins;
mod process;
mod report;
mod routes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;

use crate::bench::gateway::Upstream;
use crate::bench::report::Report;
use crate::dist;
use crate::packages;
use crate::steps::{binary, cargo, run as run_command, say};

/// How long and how often is measured.
struct Plan {
    round: Duration,
    rounds: usize,
    /// The routes of the large configuration.
    routes: usize,
    idle_clients: usize,
    /// Whether figures may be rough.
    quick: bool,
    silverback: PathBuf,
    /// The one group that is measured, or all.
    only: Option<String>,
}

const QUICK: &str = "--quick";
const BINARY: &str = "--binary";
const DIST: &str = "--dist";
const OUTPUT: &str = "--output";
const ONLY: &str = "--only";

/// Which program is measured.
enum Program {
    /// What `cargo build --release` makes.
    Release,
    /// What `cargo xtask dist` makes.
    Shipped,
    /// One that is there already.
    Given,
}

/// Measures everything, or the group that `--only` names, and prints Markdown tables; `--output FILE` writes them to a file
/// as well.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let mut plan = Plan {
        round: Duration::from_secs(4),
        rounds: 7,
        routes: 100_000,
        idle_clients: 10_000,
        quick: false,
        silverback: binary("release", "silverback"),
        only: None,
    };
    let mut program = Program::Release;
    let mut output = None;
    let mut left = args.iter();
    while let Some(arg) = left.next() {
        match (arg.as_str(), left.as_slice().first()) {
            (QUICK, _) => {
                plan.round = Duration::from_secs(1);
                plan.rounds = 3;
                plan.quick = true;
            }
            (BINARY, Some(path)) => {
                plan.silverback = PathBuf::from(path);
                program = Program::Given;
                left.next();
            }
            (DIST, _) => program = Program::Shipped,
            (ONLY, Some(group)) if GROUPS.iter().any(|(name, _)| name == group) => {
                plan.only = Some(group.clone());
                left.next();
            }
            (OUTPUT, Some(path)) => {
                output = Some(PathBuf::from(path));
                left.next();
            }
            _ => bail!(
                "bench takes {QUICK}, {ONLY} GROUP, {DIST}, {BINARY} FILE and {OUTPUT} FILE, not {arg:?}"
            ),
        }
    }
    packages::install_missing()?;
    packages::install(&packages::BENCH_PROGRAMS)?;
    match program {
        Program::Release => run_command(
            "build",
            cargo().args(["build", "--release", "--quiet", "--package", "silverback"]),
        )?,
        Program::Shipped => plan.silverback = dist::build()?,
        Program::Given => {}
    }
    let folder = tempfile::tempdir()?;
    let upstream = Upstream::start(folder.path())?;
    let mut report = Report::new();
    let measured = measure_all(&plan, &upstream, folder.path(), &mut report);
    let text = report.markdown();
    say(&text);
    if let Some(path) = output {
        fs::write(path, text)?;
    }
    measured
}

/// Puts a program through the requests of the benchmarks, without judging how it does.
pub fn exercise(program: &Path) -> anyhow::Result<()> {
    packages::install(&packages::BENCH_PROGRAMS)?;
    let plan = Plan {
        round: Duration::from_secs(1),
        rounds: 2,
        routes: 1000,
        idle_clients: 100,
        quick: true,
        silverback: program.to_owned(),
        only: None,
    };
    let folder = tempfile::tempdir()?;
    let upstream = Upstream::start(folder.path())?;
    let mut report = Report::new();
    cases::measure(&plan, &upstream, folder.path(), &mut report)?;
    plugins::run_cases(&plan, &upstream, folder.path(), &mut report)?;
    Ok(())
}

type Group = (
    &'static str,
    fn(&Plan, &Upstream, &Path, &mut Report) -> anyhow::Result<()>,
);

const GROUPS: &[Group] = &[
    ("cases", cases::measure),
    ("memory", memory::measure),
    ("routes", routes::measure),
    ("instructions", instructions::measure),
    ("balancer", balancer::measure),
    ("cluster", cluster::measure),
    ("credentials", credentials::measure),
    ("plugins", plugins::measure),
    ("accuracy", accuracy::measure),
];

/// Measures one group after the other; what was measured before a failure is in the report.
fn measure_all(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (name, measure) in GROUPS {
        if plan.only.as_ref().is_none_or(|only| only == name) {
            measure(plan, upstream, folder, report)?;
        }
    }
    Ok(())
}
