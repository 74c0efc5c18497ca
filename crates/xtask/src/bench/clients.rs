//! Plain clients: single requests, and many connections that sit idle.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::bail;

/// Sends a GET on a connection of its own and returns the whole answer.
pub fn get(port: u16, path: &str) -> anyhow::Result<String> {
    exchange(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends a JSON body with POST on a connection of its own and returns the whole answer.
pub fn post(port: u16, path: &str, body: &str) -> anyhow::Result<String> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ),
    )
}

fn exchange(port: u16, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A connection for one GET of 1 KiB after the other.
pub struct KeepAlive(TcpStream);

impl KeepAlive {
    /// Connects.
    pub fn open(port: u16) -> anyhow::Result<KeepAlive> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(KeepAlive(stream))
    }

    /// Sends a request and reads the whole answer.
    pub fn get(&mut self) -> anyhow::Result<()> {
        self.0
            .write_all(b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut buffer = [0; 4096];
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            match self.0.read(&mut buffer)? {
                0 => bail!("the connection was closed"),
                read => answer.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(())
    }
}

/// Connections that have had one answer each and wait.
pub struct IdleClients {
    _connections: Vec<KeepAlive>,
}

impl IdleClients {
    /// Opens the connections one after the other.
    pub fn open(port: u16, count: usize) -> anyhow::Result<IdleClients> {
        let open = |_| {
            let mut connection = KeepAlive::open(port)?;
            connection.get()?;
            Ok(connection)
        };
        let connections = (0..count).map(open).collect::<anyhow::Result<_>>()?;
        Ok(IdleClients {
            _connections: connections,
        })
    }
}

/// Whether an answer with 1 KiB of payload has arrived.
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + 1024)
}
