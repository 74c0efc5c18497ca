//! System packages that tests and benchmarks need, installed when they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{output, run, say};

/// A program that must be there, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 13] = [
    ("python3", "python3"),
    ("curl", "curl"),
    ("nginx", "nginx-light"),
    ("cc", "gcc"),
    ("cmake", "cmake"),
    ("sqlite3", "sqlite3"),
    ("initdb", "postgresql"),
    ("redis-server", "redis-server"),
    ("slapd", "slapd"),
    ("prometheus", "prometheus"),
    ("haproxy", "haproxy"),
    ("docker-compose", "docker-compose"),
    ("systemd-analyze", "systemd"),
];

/// What benchmarks put load on a gateway with.
pub const BENCH_PROGRAMS: [(&str, &str); 7] = [
    ("nginx", "nginx-light"),
    ("redis-server", "redis-server"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("taskset", "util-linux"),
    ("openssl", "openssl"),
    ("valgrind", "valgrind"),
];

/// Installs the packages of the programs that cannot be found.
pub fn install_missing() -> anyhow::Result<()> {
    install(&PROGRAMS)
}

/// Installs the packages of those of these programs that cannot be found.
pub fn install(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install_packages(&missing)
}

/// Installs packages, whether they are there or not.
pub fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    say(&format!("== installing {}", packages.join(", ")));
    run("apt-get update", apt().arg("update"))?;
    run(
        "apt-get install",
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

fn is_there(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let is_in = |folder: &Path| folder.join(program).is_file();
    path.split(':').any(|folder| is_in(Path::new(folder)))
        || postgresql_folders().any(|folder| is_in(&folder))
}

/// Where Debian keeps the programs of a PostgreSQL server, which are on nobody's path.
fn postgresql_folders() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin"))
}

fn apt() -> Command {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.arg("apt-get");
        command
    };
    // The run level tells the packages of servers not to start them.
    command
        .arg("-qq")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command
}
