//! A sentinel, which watches a master.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use nix::sys::signal::Signal;

use super::{Redis, says};
use crate::{Folder, Launch, Process, Result, find_program, free_ports};

/// A sentinel on a free port of 127.0.0.1 that decides alone; ended when it is dropped.
#[derive(Debug)]
pub struct RedisSentinel {
    _folder: Folder,
    _process: Process,
    port: u16,
}

impl RedisSentinel {
    /// Starts one that watches `master`, which must want `password` if there is one, and takes its followers for new
    /// masters soon after it is gone.
    pub fn start(master: &Redis, password: Option<&str>) -> Result<Self> {
        let [port] = free_ports()?;
        let folder = Folder::unprivileged()?;
        let mut settings = format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n",
            master.port()
        );
        if let Some(password) = password {
            settings.push_str(&format!("sentinel auth-pass main {password}\n"));
        }
        let file = folder.write("sentinel.conf", &settings)?;
        let mut command = Command::new(find_program("redis-server")?);
        command
            .current_dir(folder.path())
            .arg(file)
            .arg("--sentinel");
        let process = Process::start(&Launch {
            command: &command,
            log: &folder.path().join("log"),
            ending: Signal::SIGKILL,
            user: folder.owner(),
        })?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        process.wait_until("answers", || says(address, "PING").is_some())?;
        Ok(Self {
            _folder: folder,
            _process: process,
            port,
        })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it knows a follower of the master, without which it cannot replace it.
    pub fn wait_for_follower(&self) -> Result<()> {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, self.port).into();
        crate::until("the sentinel knows a follower", || {
            says(address, "SENTINEL REPLICAS main").is_some_and(|answer| answer.contains("slave"))
        })
    }
}
