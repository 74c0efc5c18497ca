//! Replays Kong's recorded answers (`conformance/`) against a real node, and keeps the floor.
//!
//! `conformance/floor.json` has, for each area, how many cases hold; a run with fewer fails, and a run with more
//! asks for the floor to be raised.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::node::{self, Store};
use crate::steps::{cargo, root, run as run_command, say};

const FLOOR: &str = "conformance/floor.json";

/// Replays all cases, or those that `--only` names, and prints what differs.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let release = args.iter().any(|arg| arg == "--release");
    let mut store = Store::Postgres;
    let mut passed_on: Vec<&str> = Vec::new();
    let mut args_left = args.iter();
    while let Some(arg) = args_left.next() {
        match arg.as_str() {
            "--release" => {}
            "--verbose" => passed_on.push("-v"),
            "--store" => store = Store::parse(args_left.next().context("--store wants a name")?)?,
            "--only" => {
                passed_on.extend(["--only", args_left.next().context("--only wants a text")?])
            }
            other => bail!(
                "conformance takes --release, --verbose, --store NAME and --only TEXT, not {other:?}"
            ),
        }
    }
    let mut build = cargo();
    build.args(["build", "--quiet"]);
    if release {
        build.arg("--release");
    }
    run_command("build", &mut build)?;
    let profile = if release { "release" } else { "debug" };
    replay(profile, store, &passed_on, Stdio::inherit())?;
    Ok(())
}

/// Replays all cases with the debug build on PostgreSQL, and compares with the floor.
pub fn ratchet() -> anyhow::Result<()> {
    say("== conformance");
    let held = replay("debug", Store::Postgres, &[], Stdio::null())?;
    for (area, cases) in &held {
        say(&format!("{cases:4} {area}"));
    }
    let floor = fs::read_to_string(root().join(FLOOR)).context(FLOOR)?;
    let floor: BTreeMap<String, u64> = serde_json::from_str(&floor).context(FLOOR)?;
    let mut fallen = Vec::new();
    for (area, least) in &floor {
        let now = held.get(area).copied().unwrap_or(0);
        if now < *least {
            fallen.push(format!("{area}: {now} cases hold, the floor is {least}"));
        }
    }
    if !fallen.is_empty() {
        bail!("conformance fell:\n  {}", fallen.join("\n  "));
    }
    if held != floor {
        say(&format!(
            "more cases hold than {FLOOR} says; raise it to {}",
            serde_json::to_string(&held)?
        ));
    }
    Ok(())
}

/// Runs all cases that `passed_on` selects; `differences` says where what differs is printed.
fn replay(
    profile: &str,
    store: Store,
    passed_on: &[&str],
    differences: Stdio,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir()?;
    let started = node::start(profile, store)?;
    let node = &started.node;
    let results = folder.path().join("results.json");
    let status = Command::new("python3")
        .arg("conform.py")
        .args(["check", "--settle", "0.05", "--min", "0"])
        .args(["--admin", &format!("http://{}", node.admin_address())])
        .args(["--proxy", &node.proxy_address().to_string()])
        .args(["--proxy-tls", &format!("127.0.0.1:{}", node.proxy_tls)])
        .arg("--json")
        .arg(&results)
        .args(passed_on)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(differences)
        .current_dir(root().join("conformance"))
        .status()
        .context("python3")?;
    // The exit status only says that some case did not hold; the file says which.
    let results = fs::read_to_string(&results)
        .with_context(|| format!("conform.py left no results ({status})"))?;
    let results: Value = serde_json::from_str(&results)?;
    let areas = results["areas"]
        .as_object()
        .context("results without areas")?;
    Ok(areas
        .iter()
        .map(|(area, counts)| (area.clone(), counts[0].as_u64().unwrap_or(0)))
        .collect())
}
