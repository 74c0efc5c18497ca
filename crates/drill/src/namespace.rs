//! A network namespace with one cable to this machine, which can be pulled. Needs root.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// A namespace; it is removed when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cable: String,
    third_byte: u8,
    folder: tempfile::TempDir,
}

impl Namespace {
    /// Makes a namespace and its cable.
    pub fn new() -> anyhow::Result<Self> {
        let pid = std::process::id();
        let namespace = Self {
            name: format!("drill-{pid}"),
            cable: format!("drill{pid}"),
            third_byte: u8::try_from(pid % 250).unwrap_or_default(),
            folder: tempfile::tempdir().context("a temporary folder")?,
        };
        let (name, cable) = (namespace.name.as_str(), namespace.cable.as_str());
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name,
        ])?;
        let here = format!("{}/30", namespace.here());
        let there = format!("{}/30", namespace.there());
        ip(&["addr", "add", &here, "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        ip(&["-n", name, "addr", "add", &there, "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        namespace.plug()?;
        Ok(namespace)
    }

    /// This machine's end of the cable.
    pub fn here(&self) -> IpAddr {
        Ipv4Addr::new(10, 213, self.third_byte, 1).into()
    }

    /// The namespace's end of the cable.
    pub fn there(&self) -> IpAddr {
        Ipv4Addr::new(10, 213, self.third_byte, 2).into()
    }

    /// Pulls the cable: packets are lost, and nobody is told.
    pub fn pull(&self) -> anyhow::Result<()> {
        ip(&["-n", &self.name, "link", "set", "eth0", "down"])
    }

    /// Puts the cable back.
    pub fn plug(&self) -> anyhow::Result<()> {
        ip(&["-n", &self.name, "link", "set", "eth0", "up"])
    }

    /// A program that runs another one inside.
    pub fn program(&self, program: &Path) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("inside");
        let text = format!(
            "#!/bin/sh\nexec {} netns exec {} {} \"$@\"\n",
            fleet::find_program("ip")?.display(),
            self.name,
            program.display()
        );
        std::fs::write(&path, text).context("a script")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cable may not have been made yet; with the namespace it goes by itself, but later.
        let _ = ip(&["link", "del", &self.cable]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(fleet::find_program("ip")?)
        .args(arguments)
        .output()
        .context("ip does not run")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("ip {}: {}", arguments.join(" "), error.trim());
    }
    Ok(())
}
