//! `reload`: the running node reads its settings again.
//!
//! The settings that this command was told (its file, its environment) are checked here, handed to the node in a file
//! that only its owner can read, and the node answers by replacing that file.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::Signal;
use node::reload_request;

use super::{existing_prefix, settings_of_node, start, stop, warn_about_nginx};
use crate::arguments::Reload;
use crate::output::Output;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Checks the settings, hands them over and waits until the node uses them.
pub fn reload(options: &Reload, output: &Output) -> anyhow::Result<ExitCode> {
    warn_about_nginx(&options.nginx, output);
    let prefix = existing_prefix(&options.place)?;
    super::running(prefix.path())?;
    let loaded = settings_of_node(&options.place, &prefix)?;
    for warning in &loaded.warnings {
        output.warn(warning.to_string());
    }
    reload_request::write(&prefix, &super::sources(&options.place))?;
    stop::signal(&prefix, Signal::SIGHUP, output)?;
    let mut answer = None;
    let answered = start::wait_until(TIMEOUT, || {
        answer = reload_request::take_answer(&prefix);
        answer.is_some() || prefix.running().is_none()
    });
    match answer {
        Some(Ok(())) => {
            output.say(format!("{} reloaded", output.name()));
            Ok(ExitCode::SUCCESS)
        }
        Some(Err(reason)) => bail!("the node goes on with its old settings: {reason}"),
        None if answered => bail!("the node ended while it reloaded"),
        None => bail!(
            "the node did not answer within {} seconds",
            TIMEOUT.as_secs()
        ),
    }
}
