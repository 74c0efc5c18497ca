//! The client: requests at a steady rate, each with a path of its own, and every answer compared with what it must be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How long a client waits for an answer before it counts the request as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that share the rate.
pub const CONNECTIONS: u32 = 48;

/// The longest head that an answer may have.
const LONGEST_HEAD: usize = 64 << 10;

/// What to ask, and what the answer has to be.
#[derive(Debug, Clone)]
pub struct Traffic {
    pub server: SocketAddr,
    pub host: String,
    /// The path before the number of the request.
    pub path: String,
    /// More lines of the head, each with its end; `{key}` in them stands for one number of several after the other.
    pub headers: String,
    /// How many such numbers there are.
    pub keys: u64,
    /// What the answer contains; `{path}` in it stands for the path of the request.
    pub expected: String,
    pub method: Method,
    /// Requests a second.
    pub rate: u32,
}

/// How clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body; whoever notices that such a request was not answered may send it again.
    Get,
    /// With a small body. Nobody may send it again.
    Post,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// What comes after the head's own lines.
    fn rest(self) -> &'static str {
        match self {
            Self::Get => "\r\n",
            Self::Post => "Content-Length: 5\r\n\r\ndrill",
        }
    }
}

/// What came of the requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub sent: u64,
    /// Without an answer, or with one that is not 200.
    pub failed: u64,
    /// With an answer 200 that is not that of the request.
    pub wrong: u64,
    /// The longest time without a good answer.
    pub longest_gap: Duration,
    /// The longest time that a good answer took.
    pub slowest: Duration,
    /// How requests failed, and how often.
    pub reasons: BTreeMap<String, u64>,
}

/// Requests that are being sent until somebody finishes it.
pub struct Load {
    stop: watch::Sender<bool>,
    thread: JoinHandle<Tally>,
}

impl Load {
    /// Begins to send.
    pub fn start(traffic: Traffic) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the load")?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("load".to_owned());
        let thread = thread.spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            let all = send(traffic, stopped);
            tasks.block_on(&runtime, all)
        });
        Ok(Self {
            stop,
            thread: thread.context("no thread for the load")?,
        })
    }

    /// Sends no more, waits for what is under way, and counts.
    pub fn finish(self) -> anyhow::Result<Tally> {
        self.stop.send_replace(true);
        let tally = self.thread.join();
        tally.map_err(|_| anyhow::anyhow!("the load has failed"))
    }
}

/// What all connections add to.
struct Shared {
    traffic: Traffic,
    tally: RefCell<Tally>,
    last_good: RefCell<Instant>,
}

async fn send(traffic: Traffic, stopped: watch::Receiver<bool>) -> Tally {
    let connections = CONNECTIONS.min(traffic.rate.max(1));
    let between = Duration::from_secs(1) * connections / traffic.rate.max(1);
    let shared = Rc::new(Shared {
        traffic,
        tally: RefCell::default(),
        last_good: RefCell::new(Instant::now()),
    });
    let senders: Vec<_> = (0..connections)
        .map(|number| {
            let first = between * number / connections;
            let sender = send_over_one(Rc::clone(&shared), stopped.clone(), first, between);
            tokio::task::spawn_local(sender)
        })
        .collect();
    for sender in senders {
        if sender.await.is_err() {
            shared.fail("the client itself failed".to_owned());
        }
    }
    // The time since the last good answer counts as well.
    shared.note_gap();
    shared.tally.take()
}

/// One connection's share of the requests.
async fn send_over_one(
    shared: Rc<Shared>,
    mut stopped: watch::Receiver<bool>,
    first: Duration,
    between: Duration,
) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, between);
    // What could not be sent in time is not sent later: clients do not queue up behind each other.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = None;
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => {}
        }
        let number = {
            let mut tally = shared.tally.borrow_mut();
            tally.sent += 1;
            tally.sent
        };
        let path = format!("{}{number}", shared.traffic.path);
        let start = Instant::now();
        let key = number % shared.traffic.keys.max(1);
        let answer = exchange(&shared.traffic, &path, key, connection.take());
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok((answer, kept))) => {
                connection = kept;
                shared.judge(&path, &answer, start.elapsed());
            }
            Ok(Err(error)) => shared.fail(format!("{}", error.kind())),
            Err(_) => shared.fail(format!("no answer in {} s", PATIENCE.as_secs())),
        }
    }
}

impl Shared {
    fn judge(&self, path: &str, answer: &Answer, took: Duration) {
        let expected = self.traffic.expected.replace("{path}", path);
        if answer.status != 200 {
            self.fail(format!("status {}", answer.status));
        } else if !String::from_utf8_lossy(&answer.body).contains(&expected) {
            self.tally.borrow_mut().wrong += 1;
        } else {
            self.note_gap();
            let mut tally = self.tally.borrow_mut();
            tally.slowest = tally.slowest.max(took);
        }
    }

    fn fail(&self, reason: String) {
        let mut tally = self.tally.borrow_mut();
        tally.failed += 1;
        *tally.reasons.entry(reason).or_default() += 1;
    }

    fn note_gap(&self) {
        let now = Instant::now();
        let last = self.last_good.replace(now);
        let mut tally = self.tally.borrow_mut();
        tally.longest_gap = tally.longest_gap.max(now - last);
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// One request, on the connection that is left from the one before or on a new one; the connection if it can be kept.
///
/// A client may repeat a `GET` on a kept connection that the server had closed; this one does, once, as browsers do.
async fn exchange(
    traffic: &Traffic,
    path: &str,
    key: u64,
    kept: Option<TcpStream>,
) -> io::Result<(Answer, Option<TcpStream>)> {
    let headers = traffic.headers.replace("{key}", &key.to_string());
    let request = format!(
        "{} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: drill\r\n{headers}{}",
        traffic.method.name(),
        traffic.host,
        traffic.method.rest()
    );
    if let Some(mut connection) = kept {
        let mut begun = false;
        match ask(&mut connection, &request, &mut begun).await {
            Ok((answer, keep)) => return Ok((answer, keep.then_some(connection))),
            Err(error) if begun || traffic.method == Method::Post => return Err(error),
            Err(_) => {}
        }
    }
    let mut connection = TcpStream::connect(traffic.server).await?;
    connection.set_nodelay(true)?;
    let (answer, keep) = ask(&mut connection, &request, &mut false).await?;
    Ok((answer, keep.then_some(connection)))
}

/// Sends a request and reads the answer; says whether the connection can be used again. `begun` tells whether any of
/// the answer had come.
async fn ask(
    connection: &mut TcpStream,
    request: &str,
    begun: &mut bool,
) -> io::Result<(Answer, bool)> {
    connection.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *begun = true;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(its, _)| its.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) => {
            while body.len() < length {
                if connection.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        None => {
            // Such an answer ends at the end of its last chunk, or of the connection.
            while !body.ends_with(b"0\r\n\r\n") && connection.read_buf(&mut body).await? != 0 {}
        }
    }
    let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((Answer { status, body }, !closes && length.is_some()))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests;
