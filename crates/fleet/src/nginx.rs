//! nginx.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::process::complete;
use crate::{Folder, Launch, Process, Result, find_program};

/// What surrounds the part under `http` that a caller brings. Everything that nginx would write lies in its folder.
const MAIN: &str = "\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log notice;
events { worker_connections 4096; }
http {
    access_log off;
    include temporary.conf;
    include http.conf;
}
";

/// Where nginx puts what does not fit into memory.
const TEMPORARY: &str = "\
client_body_temp_path body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
";

/// An nginx with a configuration of the caller's; ended when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    folder: Folder,
    process: Process,
}

impl Nginx {
    /// Starts nginx with `http` inside its `http` block; `files` are written beside it, for it to include. Returns when
    /// `ready` holds, which is to see whether it answers.
    pub fn start(http: &str, files: &[(&str, &str)], ready: impl FnMut() -> bool) -> Result<Self> {
        let folder = prepare(http, files)?;
        let process = Process::start(&Launch {
            command: &command(&folder)?,
            log: &folder.path().join("log"),
            // Ends its workers as well; killed, it would leave them behind.
            ending: Signal::SIGTERM,
            user: folder.owner(),
        })?;
        process.wait_until("answers", ready)?;
        Ok(Self { folder, process })
    }

    /// Has nginx read a configuration as [`Nginx::start`] does, without starting it.
    pub fn check(http: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = prepare(http, files)?;
        complete(command(&folder)?.arg("-t"), folder.owner()).map(drop)
    }

    /// As [`Nginx::check`] for a whole configuration. What it would write elsewhere, it writes into its folder.
    pub fn check_whole(main: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = prepare("", files)?;
        let lines = main.lines().map(|line| match line.trim() {
            "http {" => "http {\n    include temporary.conf;",
            other if other.starts_with("pid ") => "pid nginx.pid;",
            other if other.starts_with("error_log ") => "error_log error.log;",
            _ => line,
        });
        folder.write("nginx.conf", &lines.collect::<Vec<_>>().join("\n"))?;
        complete(command(&folder)?.arg("-t"), folder.owner()).map(drop)
    }

    /// The folder that it runs in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its main process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn prepare(http: &str, files: &[(&str, &str)]) -> Result<Folder> {
    let folder = Folder::unprivileged()?;
    folder.write("nginx.conf", MAIN)?;
    folder.write("temporary.conf", TEMPORARY)?;
    folder.write("http.conf", http)?;
    for (name, text) in files {
        folder.write(name, text)?;
    }
    Ok(folder)
}

fn command(folder: &Folder) -> Result<Command> {
    let mut command = Command::new(find_program("nginx")?);
    command
        .arg("-p")
        .arg(folder.path())
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .current_dir(folder.path());
    Ok(command)
}
