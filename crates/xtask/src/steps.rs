//! Runs commands, and the list of steps that `cargo xtask test` is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{cluster, conformance, deploy, documents, drill, packages, tidy};

/// Everything that must hold on main, cheapest first.
pub fn test() -> anyhow::Result<()> {
    packages::install_missing()?;
    run("format", cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    run(
        "clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    run("build", cargo().args(["build", "--workspace", "--quiet"]))?;
    // A change is judged by the same cases as the one before; `cargo test` by hand tries new ones every time.
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    run("tests", tests.env("PROPTEST_RNG_SEED", "1"))?;
    documents::check()?;
    deploy::check()?;
    cluster::check()?;
    conformance::ratchet()?;
    drill::run(&["--quick".to_owned()])?;
    say("everything holds");
    Ok(())
}

/// The folder that holds the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The cargo that runs this, in the root folder.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts binaries of a profile.
pub fn binary(profile: &str, name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile).join(name)
}

/// Runs a command to its end and fails if it fails.
pub fn run(title: &str, command: &mut Command) -> anyhow::Result<()> {
    say(&format!("== {title}"));
    let status = command
        .status()
        .with_context(|| format!("{title}: cannot start {command:?}"))?;
    if !status.success() {
        bail!("{title} failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns what it printed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Tells the person who runs this.
#[expect(clippy::print_stdout, reason = "this is a command for people")]
pub fn say(text: &str) {
    println!("{text}");
}
