//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Break a cluster in many ways, under load, and measure what clients notice.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Only the faults that take seconds, at a low rate; fails if a request failed or was answered wrongly.
    #[arg(long)]
    pub quick: bool,
    /// Only faults whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Requests a second.
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Seconds that PostgreSQL stays away where that is the fault.
    #[arg(long, value_name = "SECONDS")]
    pub outage: Option<u64>,
    /// The program that is drilled.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/release/silverback",
        required = false
    )]
    pub binary: PathBuf,
    /// Write the table to this file as Markdown.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Drill a cluster that exists, described in this JSON file (see docs/fault-matrix.md).
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Needed with `--against`: the cluster may be broken.
    #[arg(long)]
    pub yes_break_it: bool,
    /// Name the faults and end.
    #[arg(long)]
    pub list: bool,
}
