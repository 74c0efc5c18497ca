//! `health` and `drain`.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use config::{Address, Listener};

use super::{existing_prefix, settings_of_node};
use crate::arguments::Place;
use crate::output::Output;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Says whether the node runs; the exit status says it too.
pub fn health(place: &Place, output: &Output) -> anyhow::Result<ExitCode> {
    let prefix = existing_prefix(place)?;
    let running = prefix.running().is_some();
    let state = if running { "running" } else { "not running" };
    output.say(format!("node........{state}"));
    output.say("");
    if !running {
        bail!(
            "{} is not running at {}",
            output.name(),
            prefix.path().display()
        );
    }
    output.say(format!(
        "{} is healthy at {}",
        output.name(),
        prefix.path().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Makes the node's readiness answer 503 from now on.
pub fn drain(place: &Place, output: &Output) -> anyhow::Result<ExitCode> {
    let prefix = existing_prefix(place)?;
    super::running(prefix.path())?;
    let settings = settings_of_node(place, &prefix)?.settings;
    let listeners = &settings.listeners.status;
    let Some(listener) = listeners
        .iter()
        .find(|listener| !listener.ssl && !listener.proxy_protocol)
    else {
        if listeners.is_empty() {
            bail!("the node has no status listener; give it one with `status_listen`");
        }
        bail!(
            "every status listener is `ssl` or `proxy_protocol`; POST {{\"status\":\"draining\"}} to /status/ready yourself"
        );
    };
    let status = post_draining(listener)
        .with_context(|| format!("the status listener {}", listener.address))?;
    if status != 204 {
        bail!(
            "unexpected response status from {}: {status}",
            listener.address
        );
    }
    output.say(format!(
        "{}'s status successfully changed to 'draining'",
        output.name()
    ));
    Ok(ExitCode::SUCCESS)
}

fn post_draining(listener: &Listener) -> anyhow::Result<u16> {
    const BODY: &str = r#"{"status":"draining"}"#;
    let request = format!(
        "POST /status/ready HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    match &listener.address {
        Address::Unix(path) => exchange(UnixStream::connect(path)?, &request),
        Address::Ip(address) => {
            let mut address: SocketAddr = *address;
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            exchange(TcpStream::connect_timeout(&address, TIMEOUT)?, &request)
        }
        Address::Name(host, port) => {
            exchange(TcpStream::connect((host.as_str(), *port))?, &request)
        }
    }
}

trait Connection: std::io::Read + std::io::Write {
    fn bound(&self) -> std::io::Result<()>;
}

impl Connection for TcpStream {
    fn bound(&self) -> std::io::Result<()> {
        self.set_read_timeout(Some(TIMEOUT))
    }
}

impl Connection for UnixStream {
    fn bound(&self) -> std::io::Result<()> {
        self.set_read_timeout(Some(TIMEOUT))
    }
}

/// Sends a request and reads the status of its answer.
fn exchange(mut connection: impl Connection, request: &str) -> anyhow::Result<u16> {
    connection.bound()?;
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    (&mut connection).take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.context("that was no HTTP answer")
}
