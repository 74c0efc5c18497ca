//! `stop` and `quit`.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::Prefix;

use super::{existing_prefix, running};
use crate::arguments::{Place, Quit};
use crate::output::Output;

/// How long a node may take to end after it was told to end at once.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends the node at once.
pub fn stop(place: &Place, output: &Output) -> anyhow::Result<ExitCode> {
    let prefix = existing_prefix(place)?;
    stop_in(&prefix, output)?;
    output.say(format!("{} stopped", output.name()));
    Ok(ExitCode::SUCCESS)
}

/// Ends the node in a folder at once, and returns when it has ended.
pub fn stop_in(prefix: &Prefix, output: &Output) -> anyhow::Result<()> {
    signal(prefix, Signal::SIGTERM, output)?;
    if !ends_within(prefix, STOP_TIMEOUT) {
        output.verbose("the node does not end, killing it");
        signal(prefix, Signal::SIGKILL, output)?;
        anyhow::ensure!(
            ends_within(prefix, STOP_TIMEOUT),
            "the node in {} does not end",
            prefix.path().display()
        );
    }
    Ok(())
}

/// Ends the node when it has answered the requests in flight.
pub fn quit(options: &Quit, output: &Output) -> anyhow::Result<ExitCode> {
    let prefix = existing_prefix(&options.place)?;
    running(prefix.path())?;
    if options.wait > 0.0 {
        output.verbose(format!("waiting {} seconds before quitting", options.wait));
        if ends_within(&prefix, seconds(options.wait)) {
            output.warn("the node stopped while this command waited");
            return Ok(ExitCode::SUCCESS);
        }
    }
    signal(&prefix, Signal::SIGQUIT, output)?;
    output.verbose("waiting for requests in flight");
    if ends_within(&prefix, seconds(options.timeout.max(1.0))) {
        output.say(format!("{} stopped (gracefully)", output.name()));
        return Ok(ExitCode::SUCCESS);
    }
    output.verbose(format!(
        "the node still runs in {}, stopping it",
        prefix.path().display()
    ));
    stop_in(&prefix, output)?;
    output.say(format!("Timeout, {} stopped forcefully", output.name()));
    Ok(ExitCode::SUCCESS)
}

/// Sends a signal to the node in a folder.
pub fn signal(prefix: &Prefix, signal: Signal, output: &Output) -> anyhow::Result<()> {
    let pid = running(prefix.path())?;
    output.verbose(format!("sending {signal} to process {pid}"));
    kill(Pid::from_raw(pid), signal)
        .map_err(|error| anyhow::anyhow!("could not send {signal} to process {pid}: {error}"))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Whether no node is left in a folder after at most `limit`.
pub fn ends_within(prefix: &Prefix, limit: Duration) -> bool {
    super::start::wait_until(limit, || prefix.running().is_none())
}
