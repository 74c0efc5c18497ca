//! A folder with free ports for a node, and the program that runs there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PATIENCE;
use crate::node::Node;

/// Where one node after the other can run: a prefix, ports, and settings.
#[derive(Debug)]
pub struct Place {
    seat: fleet::Node,
    /// Plain HTTP.
    pub proxy: u16,
    /// HTTPS with HTTP/2.
    pub proxy_tls: u16,
    pub admin: u16,
    pub status: u16,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// An empty prefix, the embedded store, and two workers.
    pub fn new() -> Self {
        let seat = fleet::Node::new(program()).expect("a folder and ports");
        let place = Self {
            proxy: seat.proxy,
            proxy_tls: seat.proxy_tls,
            admin: seat.admin,
            status: seat.status,
            seat,
        };
        place.with("NGINX_WORKER_PROCESSES", "2")
    }

    /// As [`Place::new`], but with a database of a server instead of the embedded store.
    pub fn on(server: &fleet::Postgres, database: &str) -> Self {
        let place = Self::new();
        for (name, value) in server.node_settings(database) {
            place.set(name, value);
        }
        place
    }

    /// The same with a setting: its name without `KONG_`, in upper case.
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Changes a setting; processes that run keep what they have.
    pub fn set(&self, name: &str, value: impl Into<String>) {
        self.seat.set(name, value);
    }

    /// A folder of the test's own, above the prefix.
    pub fn folder(&self) -> &Path {
        self.seat.folder().path()
    }

    /// The node's folder.
    pub fn prefix(&self) -> PathBuf {
        self.seat.prefix()
    }

    /// Writes a file into the test's folder and returns where it is.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.seat.folder().write(name, text).expect("written");
        path.display().to_string()
    }

    /// The program with these settings and no others.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.seat.command(arguments)
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let running = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let pid = i32::try_from(running.id()).expect("a pid");
        let (ended, waiting) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            // A command that never ends would keep the test from ending as well.
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        });
        let output = running.wait_with_output().expect("the program ends");
        drop(ended);
        watch.join().expect("no panic");
        output
    }

    /// Runs a command that must fail, and returns its exit status and what it complained about.
    pub fn fail(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        let code = output.status.code();
        assert!(
            code.is_some_and(|code| code != 0),
            "{arguments:?} {}: {out}{err}",
            output.status
        );
        (code.unwrap_or_default(), err)
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out
    }

    /// Starts a node here and returns when it serves.
    pub fn start(&self) -> Node<'_> {
        Node::start(self, &self.command(&["run"]))
    }

    /// Starts a node here and does not wait for it.
    pub fn launch(&self) -> Node<'_> {
        Node::launch(self, &self.command(&["run"]))
    }

    /// As [`Place::start`], through a line of a shell that replaces itself by `"$@"`.
    pub fn start_through(&self, line: &str) -> Node<'_> {
        let direct = self.command(&["run"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", line, "sh"])
            .arg(direct.get_program())
            .args(direct.get_args());
        for (name, value) in direct.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Node::start(self, &command)
    }
}

/// What a command printed, and what it complained about.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The program beside the tests that run. It is built if it is missing; building the workspace brings it up to date.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("the test's own path");
        let profile = test
            .parent()
            .and_then(Path::parent)
            .expect("PROFILE/deps/TEST");
        let program = profile.join("silverback");
        if !program.exists() {
            build(profile);
        }
        assert!(program.exists(), "there is no {}", program.display());
        program
    })
}

fn build(profile: &Path) {
    let target = profile.parent().expect("a folder for all profiles");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "silverback", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let built = command.status().expect("cargo runs");
    assert!(built.success(), "the program does not build");
}
