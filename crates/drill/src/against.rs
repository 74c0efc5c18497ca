//! The drill against a cluster that exists: its owner says how to break it, and how to mend it.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::arguments::Arguments;
use crate::load::{Load, Method, Traffic};
use crate::report::{Outcome, Row, table};
use crate::{say, wait};

/// How long a cluster may take to converge before that counts as never.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long requests are sent before and after a fault.
const CALM: Duration = Duration::from_secs(2);

/// Requests a second unless somebody says otherwise: a cluster that exists has others to serve.
const RATE: u32 = 100;

/// A cluster and its faults, as its owner wrote them down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    /// Where the load balancer is: `host:port`.
    front: String,
    /// The `Host` of requests.
    host: String,
    /// The path of requests; a number is added to it.
    path: String,
    /// Headers of requests, such as a key.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What each answer contains; `{path}` stands for the path of the request.
    #[serde(default)]
    expected: String,
    /// A command that succeeds once all nodes agree.
    converged: Vec<String>,
    faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    name: String,
    /// The command that breaks something.
    inject: Vec<String>,
    /// The command that mends it.
    heal: Vec<String>,
    /// Seconds between the two.
    hold: u64,
}

/// Runs the drill; says whether clients noticed nothing.
pub fn run(file: &Path, arguments: &Arguments) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let target: Target = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let wanted = || {
        target
            .faults
            .iter()
            .filter(|fault| fault.name.contains(only))
    };
    if arguments.list {
        wanted().for_each(|fault| say(&fault.name));
        return Ok(true);
    }
    ensure!(
        arguments.yes_break_it,
        "this would break the cluster behind {}: add --yes-break-it if that is meant",
        target.front
    );
    let mut addresses = target.front.to_socket_addrs().context("the front")?;
    let server = addresses.next().context("the front has no address")?;
    let headers = target.headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut rows = Vec::new();
    for fault in wanted() {
        let traffic = Traffic {
            server,
            host: target.host.clone(),
            path: target.path.clone(),
            headers: headers.clone(),
            keys: 1,
            expected: target.expected.clone(),
            method: Method::Get,
            rate: arguments.rate.unwrap_or(RATE),
        };
        let outcome = attempt(&target, fault, traffic).map_err(|error| format!("{error:#}"));
        let row = Row {
            fault: fault.name.clone(),
            outcome,
        };
        say(&row.to_line());
        let broken = row.outcome.is_err();
        rows.push(row);
        if broken {
            say("the cluster may not be as it was: the drill ends here");
            break;
        }
    }
    let text = table(&rows);
    match &arguments.output {
        Some(path) => std::fs::write(path, text).context("the table cannot be written")?,
        None => say(&text),
    }
    Ok(rows.iter().all(Row::is_good))
}

fn attempt(target: &Target, fault: &Fault, traffic: Traffic) -> anyhow::Result<Outcome> {
    let load = Load::start(traffic)?;
    wait::pass(CALM);
    let injected = command(&fault.inject);
    if injected.is_ok() {
        wait::pass(Duration::from_secs(fault.hold));
    }
    // Also what was broken by half is mended.
    let healed = command(&fault.heal);
    let converged = wait::until(PATIENCE, || command(&target.converged).is_ok());
    wait::pass(CALM);
    let tally = load.finish()?;
    injected?;
    healed?;
    Ok(Outcome {
        tally,
        converged,
        ..Outcome::default()
    })
}

/// Runs a command to its end; it must succeed.
fn command(words: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("a command has no words")?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{}: {status}", words.join(" "));
    Ok(())
}
