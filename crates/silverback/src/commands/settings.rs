//! `check`, `prepare` and `version`.

use std::path::Path;
use std::process::ExitCode;

use node::Prefix;

use super::{load, warn_about_nginx};
use crate::arguments::{Check, Place, Prepare, Version};
use crate::output::Output;

/// The version of Kong whose interfaces this program has.
const KONG: &str = "3.9.1";

/// Checks a configuration file, with the environment as a node would see it. What only this machine lacks is a warning:
/// the file may be for another one.
pub fn check(options: &Check, output: &Output) -> anyhow::Result<ExitCode> {
    let place = Place {
        conf: options.file.clone().or_else(|| options.conf.clone()),
        prefix: None,
    };
    let loaded = load(&place, output)?;
    node::check(&loaded.settings)?;
    for obstacle in node::obstacles(&loaded.settings) {
        output.warn(format!("on this machine, not usable: {obstacle}"));
    }
    let file = loaded
        .file
        .as_deref()
        .unwrap_or_else(|| Path::new("the environment"));
    output.say(format!("configuration at {} is valid", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the node's folder with its certificates.
pub fn prepare(options: &Prepare, output: &Output) -> anyhow::Result<ExitCode> {
    warn_about_nginx(&options.nginx, output);
    let loaded = load(&options.place, output)?;
    let prefix = Prefix::new(&loaded.settings.prefix);
    prefix.prepare()?;
    node::certificates::prepare(&loaded.settings, &stdx::SystemClock)?;
    prefix.write_record(&loaded.settings)?;
    output.say(format!("{} is prepared", prefix.path().display()));
    Ok(ExitCode::SUCCESS)
}

/// Prints the version; called as `kong`, the one that scripts for Kong expect.
pub fn version(options: &Version, output: &Output) -> anyhow::Result<ExitCode> {
    let own = env!("CARGO_PKG_VERSION");
    if options.all {
        output.say(format!("Silverback: {own}\nKong interfaces: {KONG}"));
    } else if output.is_kong() {
        output.say(KONG);
    } else {
        output.say(format!("{own} (Kong {KONG})"));
    }
    Ok(ExitCode::SUCCESS)
}
