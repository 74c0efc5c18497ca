//! Programs that a benchmark starts, what they use, and how they end.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A program pinned to a core, ended when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program on a core, with its output in a file.
    pub fn start(core: usize, command: &Command, log: &Path) -> anyhow::Result<Process> {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["-c", &core.to_string()])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        let log = fs::File::create(log)?;
        let child = pinned
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Process {
            child: child.with_context(|| format!("cannot start {command:?}"))?,
        })
    }

    /// Waits until `ready` holds; fails if the program ends before, or after a minute.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool, log: &Path) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while !ready() {
            if self.child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(60) {
                bail!(
                    "a program did not start:\n{}",
                    fs::read_to_string(log).unwrap_or_default()
                );
            }
            pause();
        }
        Ok(start.elapsed())
    }

    /// The CPU time that the program and its children have used.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for pid in self.pids()? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread that has ended meanwhile did next to nothing.
                let schedule =
                    fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
                nanoseconds += schedule
                    .split(' ')
                    .next()
                    .and_then(|time| time.parse().ok())
                    .unwrap_or(0);
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The resident memory of the program and its children, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for pid in self.pids()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line
                .and_then(|line| line.split_whitespace().next())
                .context("VmRSS")?;
            bytes += kib.parse::<u64>()? * 1024;
        }
        Ok(bytes)
    }

    /// The program and its children.
    fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let children = children
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<u32>, _>>()?;
        Ok([vec![pid], children].concat())
    }
}

impl Drop for Process {
    /// Asks the program to end, which takes its children along, and makes it after a minute.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // Nothing can be done about a failure here.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + Duration::from_secs(60);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            pause();
        }
    }
}

/// Leaves the cores to those who are waited for.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}
