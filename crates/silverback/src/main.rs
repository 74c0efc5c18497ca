//! The command line: `silverback`, which works the same when it is called through a link named `kong`.
//!
//! Reads the arguments, does what the command says, and turns an error into words and an exit status.

mod arguments;
mod commands;
mod foreground;
mod output;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;
use output::Output;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let output = Output::new();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return output.usage(&error),
    };
    let output = output.with_verbosity(arguments.verbosity());
    match execute(&arguments, &output) {
        Ok(status) => status,
        Err(error) => output.failure(&error),
    }
}

fn execute(arguments: &Arguments, output: &Output) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Run(options) => foreground::run(options, output),
        Command::Start(options) => commands::start::start(options, output),
        Command::Stop(options) => commands::stop::stop(options, output),
        Command::Quit(options) => commands::stop::quit(options, output),
        Command::Restart(options) => commands::start::restart(options, output),
        Command::Reload(options) => commands::reload::reload(options, output),
        Command::Drain(options) => commands::health::drain(options, output),
        Command::Health(options) => commands::health::health(options, output),
        Command::Check(options) => commands::settings::check(options, output),
        Command::Prepare(options) => commands::settings::prepare(options, output),
        Command::Version(options) => commands::settings::version(options, output),
        Command::Config(options) => commands::declarative::config(options, output),
        Command::Migrations(options) => commands::migrations::migrations(options, output),
        Command::Backup(options) => commands::backup::backup(options, output),
        Command::Restore(options) => commands::backup::restore(options, output),
        Command::Verify(options) => commands::backup::verify(options, output),
        Command::Hybrid(options) => commands::hybrid::hybrid(options, output),
        Command::Vault(options) => commands::vault::vault(options, output),
        Command::Reference(options) => commands::reference::reference(options, output),
    }
}
