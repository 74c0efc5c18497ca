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

/// Connections that have had one answer each and wait.
pub struct IdleClients {
    _streams: Vec<TcpStream>,
}

impl IdleClients {
    /// Opens the connections one after the other.
    pub fn open(port: u16, count: usize) -> anyhow::Result<IdleClients> {
        let mut streams = Vec::with_capacity(count);
        let mut buffer = [0; 4096];
        for number in 0..count {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.write_all(b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n")?;
            let mut answer = Vec::new();
            while !is_whole(&answer) {
                match stream.read(&mut buffer)? {
                    0 => bail!("connection {number} was closed"),
                    read => answer.extend_from_slice(&buffer[..read]),
                }
            }
            streams.push(stream);
        }
        Ok(IdleClients { _streams: streams })
    }
}

/// Whether an answer with 1 KiB of payload has arrived.
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + 1024)
}
