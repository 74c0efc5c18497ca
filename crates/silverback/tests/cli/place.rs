//! A folder of its own with free ports for a node, and enough HTTP to talk to it.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The place of one node; whatever runs in it is killed when the place goes.
pub struct Place {
    folder: tempfile::TempDir,
    pub proxy: u16,
    pub admin: u16,
    pub status: u16,
    settings: Vec<(String, String)>,
}

/// An answer as text.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Place {
    pub fn new() -> Self {
        let held: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let ports: Vec<u16> = held
            .iter()
            .map(|listener| listener.local_addr().expect("bound").port())
            .collect();
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            proxy: ports[0],
            admin: ports[1],
            status: ports[2],
            settings: Vec::new(),
        }
    }

    /// The same with a setting.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings
            .push((format!("KONG_{name}"), value.to_owned()));
        self
    }

    /// The same with an environment variable that is no setting.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// The program with this place's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_silverback")), arguments)
    }

    /// The same by another name.
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("KONG_") || name.starts_with("SILVERBACK_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("KONG_PREFIX", self.prefix())
            .env("KONG_PROXY_LISTEN", format!("127.0.0.1:{}", self.proxy))
            .env("KONG_ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin))
            .env("KONG_STATUS_LISTEN", format!("127.0.0.1:{}", self.status))
            .env("KONG_NGINX_WORKER_PROCESSES", "1")
            .envs(self.settings.iter().cloned());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out
    }

    /// Runs a command that must fail, and returns what it complained about.
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {out}{err}");
        err
    }

    /// The process that the pid file names.
    pub fn pid(&self) -> i32 {
        let text =
            std::fs::read_to_string(self.prefix().join("pids/nginx.pid")).expect("a pid file");
        text.trim().parse().expect("a pid")
    }

    /// Makes a service and a route to it.
    pub fn add_route(&self, path: &str, upstream: &str) {
        let name = path.trim_start_matches('/');
        let service = format!(r#"{{"name":"{name}","url":"{upstream}"}}"#);
        assert_eq!(
            request(self.admin, "POST", "/services", &service).status,
            201
        );
        let route = format!(r#"{{"paths":["{path}"]}}"#);
        let routes = format!("/services/{name}/routes");
        assert_eq!(request(self.admin, "POST", &routes, &route).status, 201);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Most tests have stopped their node by now.
        let _ = self.command(&["stop"]).output();
    }
}

pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// One request on a connection of its own.
pub fn request(port: u16, method: &str, path: &str, json: &str) -> Answer {
    let mut connection = connect(port);
    exchange(&mut connection, method, path, json)
}

pub fn connect(port: u16) -> TcpStream {
    let connection = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    connection
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    connection
}

/// One request on a connection that stays open.
pub fn exchange(connection: &mut TcpStream, method: &str, path: &str, json: &str) -> Answer {
    send(connection, method, path, json);
    receive(connection)
}

pub fn send(connection: &mut TcpStream, method: &str, path: &str, json: &str) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        json.len()
    );
    connection.write_all(head.as_bytes()).expect("sent");
    connection.write_all(json.as_bytes()).expect("sent");
}

pub fn receive(connection: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        let length = connection.read(&mut byte).expect("an answer");
        assert_ne!(
            length,
            0,
            "the connection ended in {:?}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).expect("text").to_ascii_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
    let mut body = vec![0; length];
    connection.read_exact(&mut body).expect("a body");
    Answer {
        status,
        head,
        body: String::from_utf8(body).expect("text"),
    }
}

/// Looks until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
