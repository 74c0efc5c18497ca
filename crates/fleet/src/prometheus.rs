//! Prometheus.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::{Folder, Launch, Process, Result, find_program, free_ports, http};

/// A Prometheus with a configuration of the caller's, on a free port of 127.0.0.1; ended when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    _folder: Folder,
    port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts it with a configuration; `files` are written beside it, for it to name.
    pub fn start(configuration: &str, files: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::unprivileged()?;
        folder.write("prometheus.yml", configuration)?;
        for (name, text) in files {
            folder.write(name, text)?;
        }
        let [port] = free_ports()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(find_program("prometheus")?);
        command
            .current_dir(folder.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start(&Launch {
            command: &command,
            log: &folder.path().join("log"),
            ending: Signal::SIGTERM,
            user: folder.owner(),
        })?;
        process.wait_until("answers", || {
            http::get(address, "/-/ready").is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self {
            _folder: folder,
            port,
            process,
        })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
