//! Servers start, do what they are for, and leave nothing behind.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleet::{Durability, Nginx, Postgres, Redis, Stop, Upstream, free_ports, http, until};

/// A process that has ended but that nobody has asked about has no command line any more.
fn is_gone(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
        || !Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn postgres_keeps_its_data_through_a_crash_and_ends_with_its_owner() {
    let server = Postgres::start(Durability::Durable).unwrap();
    server.create_database("things").unwrap();
    let sql = "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)";
    server.query("things", sql).unwrap();
    server.stop(Stop::Immediate).unwrap();
    assert!(server.query("things", "SELECT 1").is_err());
    server.resume().unwrap();
    assert_eq!(server.query("things", "SELECT * FROM t").unwrap(), "1\n2");
    assert_eq!(server.query("things", "SHOW fsync").unwrap(), "on");
    let (pid, folder) = (server.pid().unwrap(), server.socket_folder().to_owned());
    server.pause().unwrap();
    drop(server);
    assert!(is_gone(pid));
    assert!(!folder.exists());
}

#[test]
fn a_standby_follows_and_takes_over() {
    let primary = Postgres::start(Durability::Fast).unwrap();
    primary
        .query("postgres", "CREATE TABLE t AS SELECT 1 AS a")
        .unwrap();
    let standby = primary.standby().unwrap();
    primary
        .query("postgres", "INSERT INTO t VALUES (2)")
        .unwrap();
    until("the standby has it", || {
        standby.query("postgres", "SELECT count(*) FROM t").unwrap() == "2"
    })
    .unwrap();
    assert!(standby.query("postgres", "DELETE FROM t").is_err());
    primary.stop(Stop::Immediate).unwrap();
    standby.promote().unwrap();
    standby.query("postgres", "DELETE FROM t").unwrap();
}

#[test]
fn nginx_serves_what_it_was_told() {
    let upstream = Upstream::start("example").unwrap();
    let [port] = free_ports().unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let http = format!(
        "include pools.conf;\nserver {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://pool; }} }}"
    );
    let pools = format!("upstream pool {{ server {}; }}", upstream.address());
    let files = [("pools.conf", pools.as_str())];
    Nginx::check(&http, &files).unwrap();
    assert!(Nginx::check("nonsense on;", &[]).is_err());
    let ready = || TcpStream::connect(address).is_ok();
    let nginx = Nginx::start(&http, &files, ready).unwrap();
    let answer = http::get(address, "/here").unwrap();
    assert_eq!(answer.header("x-upstream"), Some("example"));
    assert_eq!(answer.text(), "GET /here HTTP/1.0 at example\n");
    assert_eq!(upstream.requests(), 1);
    let pid = nginx.process().pid();
    drop(nginx);
    assert!(is_gone(pid) && !ready());
}

#[test]
fn redis_can_be_paused_and_ended() {
    let redis = Redis::start().unwrap();
    redis.pause().unwrap();
    redis.unpause().unwrap();
    redis.stop().unwrap();
    assert!(TcpStream::connect(redis.address()).is_err());
    redis.resume().unwrap();
    assert!(TcpStream::connect(redis.address()).is_ok());
}

#[test]
fn a_server_dies_with_the_process_that_started_it() {
    let mut owner = Command::new(example("redis"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (pid, port) = line.trim().split_once(' ').unwrap();
    let (pid, port): (u32, u16) = (pid.parse().unwrap(), port.parse().unwrap());
    assert!(!is_gone(pid) && TcpStream::connect(("127.0.0.1", port)).is_ok());
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the server has ended", || is_gone(pid)).unwrap();
}

/// A server that one thread started outlives it.
#[test]
fn a_server_lives_longer_than_the_thread_that_started_it() {
    let redis = std::thread::spawn(|| Redis::start().unwrap())
        .join()
        .unwrap();
    assert!(TcpStream::connect(redis.address()).is_ok());
}

/// Cargo builds examples before it runs tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("examples").join(name)
}
