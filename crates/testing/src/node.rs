//! A running node.

use std::fs;
use std::process::{Command, ExitStatus};

use fleet::{Launch, Process, Signal};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::client::Client;
use crate::message::Answer;
use crate::place::Place;

/// What the node printed, in the test's folder.
const LOG: &str = "node.log";

/// A node in a process of its own; it is killed when it is dropped.
#[derive(Debug)]
pub struct Node<'a> {
    place: &'a Place,
    process: Process,
}

impl<'a> Node<'a> {
    /// Starts a command that becomes `silverback run`, and returns when it says that it is ready.
    pub(crate) fn start(place: &'a Place, command: &Command) -> Self {
        let before = fs::read(place.folder().join(LOG)).unwrap_or_default().len();
        let node = Self::launch(place, command);
        let started = node.process.wait_until("is ready", || {
            let log = node.log();
            log.get(before..)
                .is_some_and(|said| said.contains("is ready"))
        });
        started.unwrap_or_else(|error| panic!("the node did not start: {error}"));
        node
    }

    /// As [`Node::start`], without waiting.
    pub(crate) fn launch(place: &'a Place, command: &Command) -> Self {
        let process = Process::start(&Launch {
            command,
            log: &place.folder().join(LOG),
            ending: Signal::SIGKILL,
            user: None,
        });
        let process = process.expect("the program runs");
        Self { place, process }
    }

    /// The node's process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("the node lives");
    }

    /// Stops the process from running; its connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.process.pause().expect("paused");
    }

    /// Lets it run again after [`Node::pause`].
    pub fn unpause(&self) {
        self.process.resume().expect("resumed");
    }

    /// Kills the process as a power failure would.
    pub fn crash(self) {
        self.process.kill().expect("killed");
    }

    /// Waits for the process to end by itself.
    pub fn wait(self) -> ExitStatus {
        self.process.wait().expect("the node ends")
    }

    /// Whether the process is still there.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// What it and those before it at this place printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.place.folder().join(LOG)).expect("a log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How much memory the process holds, in MiB.
    pub fn resident_mib(&self) -> u64 {
        self.memory_mib("VmRSS:")
    }

    /// The most memory that the process ever held, in MiB.
    pub fn peak_mib(&self) -> u64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid());
        let status = fs::read_to_string(path).expect("the node lives");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("a size");
        kib.parse::<u64>().expect("a number") / 1024
    }

    /// How many files and sockets the process has open.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.pid());
        fs::read_dir(path).expect("the node lives").count()
    }

    /// A new connection to the proxy.
    pub fn client(&self) -> Client {
        Client::connect(self.place.proxy)
    }

    /// A new connection to the Admin API.
    pub fn client_of_admin(&self) -> Client {
        Client::connect(self.place.admin)
    }

    /// One request to the proxy on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.client().get(path)
    }

    /// One request to the Status API.
    pub fn status_api(&self, path: &str) -> Answer {
        Client::connect(self.place.status).get(path)
    }

    /// One request to the Admin API.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        admin(&mut self.client_of_admin(), method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// One request to the Admin API that must succeed; its answer.
    pub fn configure(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.admin(method, path, body);
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// Makes a service and a route to it, both named like the path; `more` are fields of the service.
    pub fn add_route(&self, path: &str, url: &str, more: &Value) {
        let name = path.trim_matches('/');
        let mut service = json!({ "name": name, "url": url });
        merge(&mut service, more);
        self.configure("POST", "/services", &service);
        let routes = format!("/services/{name}/routes");
        let route = json!({ "name": name, "paths": [path] });
        self.configure("POST", &routes, &route);
    }

    /// Fails unless the node still answers on all its ports.
    pub fn assert_serves(&mut self, path: &str) {
        assert!(self.is_running(), "the node has ended:\n{}", self.log());
        assert_eq!(self.get(path).status, 200, "{}", self.log());
        assert_eq!(self.status_api("/status").status, 200);
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(4000);
            let tail = (tail..=log.len()).find(|at| log.is_char_boundary(*at));
            eprintln!("--- the node said:\n{}", &log[tail.unwrap_or_default()..]);
        }
    }
}

/// One request to the Admin API over a connection.
pub fn admin(
    client: &mut Client,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<Answer> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    client.socket().set_read_timeout(Some(PATIENCE))?;
    client.try_send(format!(
        "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    client.try_receive()
}

fn merge(into: &mut Value, more: &Value) {
    if let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) {
        into.extend(more.clone());
    }
}
