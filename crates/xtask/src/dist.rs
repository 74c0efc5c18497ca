//! `cargo xtask dist`: the program as it is shipped, laid out by the compiler for what it does under load.
//!
//! A build that counts where it goes is put under the load of the benchmarks, and the shipped program is compiled with
//! what was counted (profile-guided optimisation). It makes the same decisions as any other build and comes to them
//! with fewer instructions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::bench;
use crate::packages;
use crate::steps::{binary, cargo, output, run as run_command, say};

/// LLVM's program that adds up counts. A newer compiler reads what it writes.
const MERGER: &str = "llvm-profdata-19";
const MERGER_PACKAGE: &str = "llvm-19";

/// The folder beside the profiles' folders that the two builds work in.
const WORK: &str = "guided";

/// Builds the program into the profile's usual folder and says where.
pub fn run() -> anyhow::Result<()> {
    let path = build()?;
    say(&format!("the program is {}", path.display()));
    Ok(())
}

/// Builds the program and gives its path.
pub fn build() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let folder = binary(WORK, "counts");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let counting = compile(
        "build that counts",
        &host,
        &format!("-Cprofile-generate={}", folder.display()),
    )?;
    bench::exercise(&counting)?;
    let merged = folder.join("merged.profdata");
    merge(&host, &folder, &merged)?;
    let built = compile(
        "build by what was counted",
        &host,
        &format!("-Cprofile-use={}", merged.display()),
    )?;
    let shipped = binary("dist", "silverback");
    fs::create_dir_all(binary("dist", ""))?;
    fs::copy(built, &shipped)?;
    Ok(shipped)
}

/// Compiles with flags of its own. With `--target` they are not for build scripts and macros.
///
/// Both builds have the same profile: counts are found by names that depend on how a crate is cut into codegen units.
fn compile(title: &str, host: &str, flags: &str) -> anyhow::Result<PathBuf> {
    const PROFILE: &str = "release";
    let folder = binary(WORK, "build");
    run_command(
        title,
        cargo()
            .args(["build", "--locked", "--quiet", "--package", "silverback"])
            .args(["--profile", PROFILE, "--target", host])
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", flags),
    )?;
    Ok(folder.join(host).join(PROFILE).join("silverback"))
}

/// The triple of this machine.
fn host() -> anyhow::Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Adds up what the processes counted: with the toolchain's own program where its component `llvm-tools` is installed,
/// otherwise with Debian's.
fn merge(host: &str, counts: &Path, into: &Path) -> anyhow::Result<()> {
    let toolchain = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let own = Path::new(toolchain.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/llvm-profdata");
    let merger = if own.is_file() {
        own
    } else {
        packages::install(&[(MERGER, MERGER_PACKAGE)])?;
        PathBuf::from(MERGER)
    };
    let mut command = Command::new(merger);
    command.arg("merge").arg("-o").arg(into);
    for entry in fs::read_dir(counts)? {
        let path = entry?.path();
        if path.extension().is_some_and(|its| its == "profraw") {
            command.arg(path);
        }
    }
    run_command("add up counts", &mut command)
}
