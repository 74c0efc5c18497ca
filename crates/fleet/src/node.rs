//! Silverback nodes.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::process::complete;
use crate::{Error, Folder, Launch, Process, Result, free_ports, without_settings};

/// A node: a program with settings, a prefix of its own, and free ports of 127.0.0.1 that it keeps when it is started
/// again. It runs from [`Node::start`] until it is stopped or dropped.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    folder: Folder,
    settings: Mutex<BTreeMap<String, String>>,
    process: Mutex<Option<Arc<Process>>>,
    /// Plain HTTP.
    pub proxy: u16,
    /// HTTPS with HTTP/2.
    pub proxy_tls: u16,
    pub admin: u16,
    pub status: u16,
}

impl Node {
    /// A node with the embedded store and one worker, which does not run yet.
    pub fn new(program: &Path) -> Result<Self> {
        let [proxy, proxy_tls, admin, status] = free_ports()?;
        let node = Self {
            program: program.to_owned(),
            folder: Folder::new()?,
            settings: Mutex::default(),
            process: Mutex::new(None),
            proxy,
            proxy_tls,
            admin,
            status,
        };
        node.set("PREFIX", node.prefix().display().to_string());
        node.set("DATABASE", "sqlite");
        node.set(
            "PROXY_LISTEN",
            format!("127.0.0.1:{proxy}, 127.0.0.1:{proxy_tls} http2 ssl"),
        );
        node.set("ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        node.set("STATUS_LISTEN", format!("127.0.0.1:{status}"));
        node.set("ADMIN_GUI_LISTEN", "off");
        node.set("NGINX_WORKER_PROCESSES", "1");
        Ok(node)
    }

    /// Changes settings, named without `KONG_`, for the next start.
    #[must_use]
    pub fn with<'a>(self, settings: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (name, value) in settings {
            self.set(name, value);
        }
        self
    }

    /// Changes a setting, named without `KONG_`, for the next start.
    pub fn set(&self, name: &str, value: impl Into<String>) {
        let name = format!("KONG_{name}");
        self.settings.lock().insert(name, value.into());
    }

    /// The program with these settings and no others.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        command.args(arguments).envs(&*self.settings.lock());
        command
    }

    /// Runs a command of the program to its end, and returns what it printed; it must succeed.
    pub fn call(&self, arguments: &[&str]) -> Result<String> {
        complete(&self.command(arguments), None)
    }

    /// Starts the node, and returns when its Status API says that it is ready to serve.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.wait_until("is ready", || {
            let ready = crate::http::get(self.status_address(), "/status/ready");
            ready.is_ok_and(|answer| answer.status == 200)
        })
    }

    /// Starts the node without waiting for it.
    pub fn launch(&self) -> Result<()> {
        let mut process = self.process.lock();
        if process.as_ref().is_some_and(|process| process.is_running()) {
            return Ok(());
        }
        *process = Some(Arc::new(Process::start(&Launch {
            command: &self.command(&["run"]),
            log: &self.log_path(),
            ending: Signal::SIGKILL,
            user: None,
        })?));
        Ok(())
    }

    /// Waits until `holds`; an error if the node does not run or ends before.
    pub fn wait_until(&self, what: &str, holds: impl FnMut() -> bool) -> Result<()> {
        let process = self
            .process()
            .ok_or_else(|| Error::Never(what.to_owned()))?;
        process.wait_until(what, holds)
    }

    /// Stops it as a rolling restart does: requests that are under way are finished.
    pub fn stop(&self) -> Result<Option<ExitStatus>> {
        self.end(Signal::SIGQUIT)
    }

    /// Ends it as a power failure would.
    pub fn kill(&self) -> Result<Option<ExitStatus>> {
        self.end(Signal::SIGKILL)
    }

    /// Sends a signal and waits for the end; nothing if it does not run.
    pub fn end(&self, signal: Signal) -> Result<Option<ExitStatus>> {
        let process = self.process();
        process.map(|process| process.end_by(signal)).transpose()
    }

    /// Sends a signal; nothing if it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process()
            .map_or(Ok(()), |process| process.signal(signal))
    }

    /// Stops it from running; its connections stay open, and nobody answers.
    pub fn pause(&self) -> Result<()> {
        self.process().map_or(Ok(()), |process| process.pause())
    }

    /// Lets it run again after [`Node::pause`].
    pub fn unpause(&self) -> Result<()> {
        self.process().map_or(Ok(()), |process| process.resume())
    }

    /// Whether its process is there.
    pub fn is_running(&self) -> bool {
        self.process().is_some_and(|process| process.is_running())
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().map(|process| process.pid())
    }

    /// A copy, so that nobody who looks at the node waits for one who waits for it.
    fn process(&self) -> Option<Arc<Process>> {
        self.process.lock().clone()
    }

    /// A temporary folder for the prefix and for whatever belongs to the node, removed when it is dropped.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The folder that the node keeps its files in.
    pub fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// What it and those before it printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where what it prints goes.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    /// Where its proxy takes plain HTTP.
    pub fn proxy_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.proxy).into()
    }

    /// Where its Admin API is.
    pub fn admin_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.admin).into()
    }

    /// Where its Status API is.
    pub fn status_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.status).into()
    }
}
