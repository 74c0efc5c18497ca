//! The drill: breaks a cluster in every way that a cluster breaks, under load, and says what clients noticed.
//!
//! It is a program of its own, and no command of `silverback`: a gateway should not carry what kills databases. It needs
//! nothing of the project but the binary it is given, so it can be taken to any machine.
//!
//! By default it starts everything itself (PostgreSQL with a standby, three nodes, nginx with the product's
//! configuration, an upstream) on loopback in temporary folders, and ends it. With `--against` it breaks a cluster that
//! exists, by commands that its owner wrote down, after its owner said so.

mod against;
mod arguments;
mod cluster;
mod faults;
mod load;
mod namespace;
mod relay;
mod report;
mod runner;
mod upstream;
mod wait;

use std::process::ExitCode;

use arguments::Arguments;
use clap::Parser as _;
use std::io::Write as _;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.against {
        Some(file) => against::run(file, &arguments),
        None => runner::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says something to whoever looks on.
fn say(text: &str) {
    // Nobody may be looking.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
