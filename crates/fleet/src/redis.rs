//! Redis servers: one by itself, one that sentinels watch, a cluster.

mod cluster;
mod sentinel;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use parking_lot::Mutex;

pub use self::cluster::RedisCluster;
pub use self::sentinel::RedisSentinel;
use crate::{Folder, Launch, Process, Result, find_program, free_ports};

/// A server that keeps everything in memory, on a free port of 127.0.0.1; ended when it is dropped.
#[derive(Debug)]
pub struct Redis {
    folder: Folder,
    port: u16,
    more: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Redis {
    /// Starts a server.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, such as `--requirepass`.
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        let [port] = free_ports()?;
        let server = Self {
            folder: Folder::unprivileged()?,
            port,
            more: arguments.iter().map(ToString::to_string).collect(),
            process: Mutex::new(None),
        };
        server.resume()?;
        Ok(server)
    }

    /// Starts it on its port, again or for the first time, with nothing in it.
    pub fn resume(&self) -> Result<()> {
        let mut process = self.process.lock();
        if process.as_ref().is_some_and(Process::is_running) {
            return Ok(());
        }
        let mut command = Command::new(find_program("redis-server")?);
        command
            .current_dir(self.folder.path())
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.more);
        let started = Process::start(&Launch {
            command: &command,
            log: &self.folder.path().join("log"),
            ending: Signal::SIGKILL,
            user: self.folder.owner(),
        })?;
        started.wait_until("answers", || self.answers())?;
        *process = Some(started);
        Ok(())
    }

    /// Ends it as a crash does; what it held is lost.
    pub fn stop(&self) -> Result<()> {
        if let Some(process) = self.process.lock().take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Stops it from running; connections stay open, and nobody answers.
    pub fn pause(&self) -> Result<()> {
        self.process.lock().as_ref().map_or(Ok(()), Process::pause)
    }

    /// Lets it run again after [`Redis::pause`].
    pub fn unpause(&self) -> Result<()> {
        self.process.lock().as_ref().map_or(Ok(()), Process::resume)
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().as_ref().map(Process::pid)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Gives it a command, words with spaces between them, and takes the first part of what it says.
    pub fn ask(&self, command: &str) -> Option<String> {
        says(self.address(), command)
    }

    /// Any answer will do: one that wants a password is one as well.
    fn answers(&self) -> bool {
        self.ask("PING").is_some()
    }
}

/// What a server says first to a command, if it says anything.
fn says(address: SocketAddr, command: &str) -> Option<String> {
    const ENOUGH: usize = 4096;
    /// The answers to commands of tests are there at once, or will never be.
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut said = vec![0; ENOUGH];
    let length = socket.read(&mut said).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(&said[..length]).into_owned())
}
