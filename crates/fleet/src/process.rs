//! A program that runs for as long as its owner wants it to.

use std::fs::{self, OpenOptions};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use parking_lot::Mutex;

use crate::spawner::spawn;
use crate::wait::try_until;
use crate::{Error, Result, find_program};

/// How a program is to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// What to run. Its program, arguments, folder and environment count; its streams do not.
    pub command: &'a Command,
    /// The file that what it prints is added to.
    pub log: &'a Path,
    /// The signal that makes it end: sent when it is dropped, and by the kernel when this process dies.
    pub ending: Signal,
    /// Whom it runs as, if not as this process's user.
    pub user: Option<&'a User>,
}

/// A running program; it is ended when it is dropped, and when this process dies.
#[derive(Debug)]
pub struct Process {
    shown: String,
    pid: Pid,
    child: Mutex<Child>,
    log: PathBuf,
    ending: Signal,
}

impl Process {
    /// Starts a program in a process group of its own, so that a key pressed in a terminal reaches only its owner.
    pub fn start(launch: &Launch) -> Result<Self> {
        let shown = shown(launch.command);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(launch.log)
            .map_err(Error::io(launch.log.display().to_string()))?;
        let copy = log.try_clone().map_err(Error::io("a log"))?;
        let mut command = bound_to_us(launch.command, launch.ending, launch.user)?;
        command
            .stdin(Stdio::null())
            .stdout(copy)
            .stderr(log)
            .process_group(0);
        let child = spawn(command).map_err(Error::io(&shown))?;
        let pid = i32::try_from(child.id())
            .map_err(|_| Error::io(&shown)(std::io::Error::other("a process id beyond an i32")))?;
        Ok(Self {
            shown,
            pid: Pid::from_raw(pid),
            child: Mutex::new(child),
            log: launch.log.to_owned(),
            ending: launch.ending,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().id()
    }

    /// What it and those before it printed to its log.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let ended = self.child.lock().try_wait();
        ended.map_err(Error::io(&self.shown))
    }

    /// Whether it is still there.
    pub fn is_running(&self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    /// Waits until `holds`; an error if the program ends before.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let what = format!("{}: {what}", self.shown);
        try_until(&what, || match self.ended()? {
            Some(status) => {
                let what = format!("{what}, but it ended ({status})");
                Err(Error::failed(what, &self.log()))
            }
            None => Ok(holds()),
        })
        .map_err(|error| match error {
            Error::Never(what) => Error::failed(format!("never: {what}"), &self.log()),
            other => other,
        })
    }

    /// Sends a signal to the program itself; nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // The lock keeps the process from being reaped, and its id from being given to another.
        let mut child = self.child.lock();
        if matches!(child.try_wait(), Ok(None)) {
            self.deliver(self.pid, signal)?;
        }
        Ok(())
    }

    /// Sends a signal to the program and to all that descend from it.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        let mut child = self.child.lock();
        if matches!(child.try_wait(), Ok(None)) {
            self.deliver(self.pid, signal)?;
            for descendant in descendants(self.pid) {
                self.deliver(descendant, signal)?;
            }
        }
        Ok(())
    }

    /// Stops it from running without ending it, with all that descend from it.
    pub fn pause(&self) -> Result<()> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Lets it run again after [`Process::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::SIGCONT)
    }

    /// Waits for it to end by itself.
    pub fn wait(&self) -> Result<ExitStatus> {
        let mut ended = None;
        let what = format!("{} ends", self.shown);
        try_until(&what, || {
            ended = self.ended()?;
            Ok(ended.is_some())
        })?;
        ended.ok_or(Error::Never(what))
    }

    /// Sends a signal and waits for the end.
    pub fn end_by(&self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait()
    }

    /// Ends it as a power failure would.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.end_by(Signal::SIGKILL)
    }

    /// Whether a signal of this kind ended it.
    pub fn was_ended_by(status: ExitStatus, signal: Signal) -> bool {
        status.signal() == Some(signal as i32)
    }

    fn deliver(&self, pid: Pid, signal: Signal) -> Result<()> {
        match kill(pid, signal) {
            // It ended a moment ago.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(Error::io(format!("{signal} to {}", self.shown))(
                error.into(),
            )),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A paused program would not hear of its end, and one that does not end when asked is made to.
        let _ = self.resume();
        if self.end_by(self.ending).is_err() {
            let _ = self.signal_all(Signal::SIGKILL);
            let _ = self.wait();
        }
    }
}

/// Runs a program to its end, and returns what it printed; it must succeed.
pub(crate) fn complete(command: &Command, user: Option<&User>) -> Result<String> {
    let shown = shown(command);
    let mut bound = bound_to_us(command, Signal::SIGKILL, user)?;
    bound
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let running = spawn(bound).map_err(Error::io(&shown))?;
    let output = running.wait_with_output().map_err(Error::io(&shown))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if !output.status.success() {
        let what = format!("{shown} failed ({})", output.status);
        return Err(Error::failed(what, &format!("{out}{err}")));
    }
    Ok(out)
}

/// The command through `setpriv`, which replaces itself by the program, and asks the kernel for a signal at our death.
fn bound_to_us(command: &Command, ending: Signal, user: Option<&User>) -> Result<Command> {
    let mut bound = Command::new(find_program("setpriv")?);
    bound.args(["--pdeathsig", ending.as_str().trim_start_matches("SIG")]);
    if let Some(user) = user {
        bound
            .arg(format!("--reuid={}", user.uid))
            .arg(format!("--regid={}", user.gid))
            .arg("--clear-groups");
    }
    bound
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    Ok(bound)
}

/// The program's name, for messages.
fn shown(command: &Command) -> String {
    let path = Path::new(command.get_program());
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// All processes below one, as far as they can be seen now.
fn descendants(of: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in parentheses, may hold anything; state and parent follow it.
            let (_, rest) = stat.rsplit_once(") ")?;
            let parent: i32 = rest.split(' ').nth(1)?.parse().ok()?;
            Some((Pid::from_raw(pid), Pid::from_raw(parent)))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(_, its)| *its == parent);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}
