//! A client for requests that ask servers how they are, or configure them: HTTP/1.1, one connection a request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take for each step of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than any answer here has.
const MOST: u64 = 256 << 20;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(its, _)| its.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A GET request.
pub fn get(server: SocketAddr, path: &str) -> io::Result<Answer> {
    request(server, "GET", path, &[], b"")
}

/// A request with a JSON body.
pub fn send_json(server: SocketAddr, method: &str, path: &str, json: &str) -> io::Result<Answer> {
    let headers = [("Content-Type", "application/json")];
    request(server, method, path, &headers, json.as_bytes())
}

/// A request with headers and a body.
pub fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut socket = TcpStream::connect_timeout(&server, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    let has = |name: &str| {
        headers
            .iter()
            .any(|(its, _)| its.eq_ignore_ascii_case(name))
    };
    if !has("host") {
        head.push_str(&format!("Host: {server}\r\n"));
    }
    if !body.is_empty() || method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    socket.write_all(&[head.as_bytes(), body].concat())?;
    read_answer(&mut BufReader::new(socket), method == "HEAD")
}

fn read_answer(from: &mut impl BufRead, bodiless: bool) -> io::Result<Answer> {
    let status_line = read_line(from)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let mut answer = Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(from)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        answer.headers.push((name, value.trim().to_owned()));
    }
    if bodiless || matches!(status, 204 | 304) {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some() {
        answer.body = read_chunks(from)?;
        return Ok(answer);
    }
    let length = answer.header("content-length").map(str::parse::<u64>);
    let length = length.transpose().map_err(io::Error::other)?;
    from.take(length.unwrap_or(MOST).min(MOST))
        .read_to_end(&mut answer.body)?;
    if length.is_some_and(|length| length != answer.body.len() as u64) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            // What follows is the end of the connection.
            return Ok(body);
        }
        let read = from.by_ref().take(size.min(MOST)).read_to_end(&mut body)?;
        if read as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_line(from)?;
    }
}

/// A line without its end.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    let length = from.take(64 << 10).read_until(b'\n', &mut line)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
