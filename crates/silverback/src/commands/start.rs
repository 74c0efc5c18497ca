//! `start` and `restart`: a node in the background.
//!
//! The program runs itself again as `run --background` in a session of its own, and reads from its standard output
//! whether it serves.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use config::{Postgres, Settings, StoreChoice};
use node::Prefix;

use super::{existing_prefix, load_with_timeout, migrations, stop, warn_about_nginx};
use crate::arguments::{Migrations, MigrationsCommand, Place, Run, Start};
use crate::foreground;
use crate::output::Output;

/// The last line that a node in the background prints, when it serves.
pub const READY: &str = "ready";

/// Starts a node, and returns when it serves.
pub fn start(options: &Start, output: &Output) -> anyhow::Result<ExitCode> {
    warn_about_nginx(&options.nginx, output);
    let loaded = load_with_timeout(&options.place, options.db_timeout, output)?;
    let prefix = Prefix::new(&loaded.settings.prefix);
    if prefix.running().is_some() {
        return Err(node::Error::AlreadyRunning(loaded.settings.prefix).into());
    }
    if options.run_migrations
        && let StoreChoice::Postgres(place) = &loaded.settings.store
    {
        migrate(options, &loaded.settings, place, output)?;
    }
    if !loaded.settings.daemon {
        return foreground::run(&foreground_options(&options.place), output);
    }
    prefix.prepare()?;
    let told = launch(&options.place, &loaded.settings.logs.error_default, &prefix)?;
    output.verbose(told.trim_end());
    output.say(format!("{} started", output.name()));
    Ok(ExitCode::SUCCESS)
}

/// Stops the node if there is one, and starts it.
pub fn restart(options: &Start, output: &Output) -> anyhow::Result<ExitCode> {
    if let Ok(prefix) = existing_prefix(&options.place)
        && prefix.running().is_some()
    {
        stop::stop_in(&prefix, output)?;
    }
    start(options, output)
}

/// Brings the database up to date, while others that do so are waited for.
fn migrate(
    options: &Start,
    settings: &Settings,
    place: &Postgres,
    output: &Output,
) -> anyhow::Result<()> {
    let migrations = Migrations {
        command: MigrationsCommand::Up,
        conf: None,
        prefix: None,
        yes: true,
        quiet: false,
        force: true,
        db_timeout: options.db_timeout,
        lock_timeout: options.lock_timeout,
    };
    migrations::on_postgres(&migrations, settings, place, output).map(drop)
}

fn foreground_options(place: &Place) -> Run {
    Run {
        place: place.clone(),
        background: false,
    }
}

/// Runs the node in the background and returns what it said until it served.
fn launch(place: &Place, error_log: &Path, prefix: &Prefix) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let opened = OpenOptions::new().create(true).append(true).open(error_log);
    let log =
        opened.with_context(|| format!("cannot open the error log {}", error_log.display()))?;
    let mut command = Command::new(program);
    command.args(["run", "--background"]);
    if let Some(conf) = &place.conf {
        command.arg("--conf").arg(std::path::absolute(conf)?);
    }
    command.arg("--prefix").arg(prefix.path());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot run this program again")?;
    let mut pipe = child.stdout.take().context("no pipe to the node")?;
    let mut said = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = pipe
            .read(&mut buffer)
            .context("cannot hear from the node")?;
        if length == 0 {
            break;
        }
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if let Some(before) = said.strip_suffix(&format!("{READY}\n")) {
            return Ok(before.to_owned());
        }
    }
    let status = child.wait().context("cannot hear from the node")?;
    let said = said.trim();
    if said.is_empty() {
        bail!(
            "the node did not start ({status}); its log is {}",
            error_log.display()
        );
    }
    bail!("{said}")
}

/// Looks again and again, for at most `limit`, until something holds; says whether it does.
pub fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    const PAUSE: Duration = Duration::from_millis(20);
    let started = Instant::now();
    while !holds() {
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            return false;
        }
        pause(PAUSE.min(left));
    }
    true
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process is looked at, which cannot be waited for"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
