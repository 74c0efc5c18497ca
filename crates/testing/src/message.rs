//! Reading HTTP/1 messages, byte by byte and without mercy.

use std::io::{self, BufRead};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: String,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text()))
    }
}

/// The first value of a header in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Reads one answer; `bodiless` says that it answers a HEAD request.
pub fn read_answer(from: &mut impl BufRead, bodiless: bool) -> io::Result<Answer> {
    let head = read_head(from)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {head:?}")))?;
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
        trailers: String::new(),
    };
    if bodiless || status < 200 || status == 204 || status == 304 {
        return Ok(answer);
    }
    (answer.body, answer.trailers) = match read_body(from, &answer.head)? {
        Some(body) => body,
        None => {
            let mut body = Vec::new();
            from.read_to_end(&mut body)?;
            (body, String::new())
        }
    };
    Ok(answer)
}

/// Reads up to and with the empty line.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            let text = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the connection ended in {text:?}"),
            ));
        }
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// Reads the body that a head announces, with its trailers; `None` if it announces none.
pub(crate) fn read_body(
    from: &mut impl BufRead,
    head: &str,
) -> io::Result<Option<(Vec<u8>, String)>> {
    if header(head, "transfer-encoding").is_some() {
        return read_chunks(from).map(Some);
    }
    let Some(length) = header(head, "content-length") else {
        return Ok(None);
    };
    let length = length.parse().map_err(io::Error::other)?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some((body, String::new())))
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<(Vec<u8>, String)> {
    let (mut body, mut trailers) = (Vec::new(), String::new());
    loop {
        let line = read_line(from)?;
        let size = usize::from_str_radix(line.trim(), 16)
            .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
        if size == 0 {
            break;
        }
        let start = body.len();
        body.resize(start + size, 0);
        from.read_exact(&mut body[start..])?;
        let end = read_line(from)?;
        if end != "\r\n" {
            return Err(io::Error::other(format!("no end of a chunk: {end:?}")));
        }
    }
    loop {
        let line = read_line(from)?;
        if line == "\r\n" {
            return Ok((body, trailers));
        }
        trailers.push_str(&line);
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
