//! The access log: lines in the formats that nginx and Kong write, carried to a writer thread through a bounded queue.
//!
//! A worker gathers lines and hands them over in batches; it never waits for a disk.
//! When the writer cannot keep up, batches are dropped and counted.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use stdx::{Clock, SystemClock};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// nginx's `combined`, which `basic` stands for as well.
    Combined,
    /// `combined` and the request id: Kong's default.
    Kong,
}

/// What is known of an exchange when its line is written; texts are as the client sent them.
#[derive(Debug, Default)]
pub struct Entry<'a> {
    pub client: &'a str,
    pub user: &'a [u8],
    pub request: &'a [u8],
    pub status: u16,
    pub body_bytes: u64,
    pub referer: &'a [u8],
    pub user_agent: &'a [u8],
    pub request_id: &'a [u8],
}

enum Order {
    Lines(Vec<u8>),
    Reopen,
}

/// An open log; clones write to the same file.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: SyncSender<Order>,
    format: Format,
    dropped: Arc<AtomicU64>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lines(_) => "Lines",
            Self::Reopen => "Reopen",
        })
    }
}

impl AccessLog {
    /// Opens `path` for appending and starts its writer, which ends when the last clone is gone.
    pub fn open(path: &Path, format: Format) -> io::Result<Self> {
        const BATCHES: usize = 256;
        let (queue, orders) = sync_channel(BATCHES);
        let file = open(path)?;
        let path = path.to_owned();
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&orders, path, file))?;
        Ok(Self {
            queue,
            format,
            dropped: Arc::default(),
        })
    }

    /// Opens the file anew after something moved it away.
    pub fn reopen(&self) {
        // A full queue means that the writer is stuck on its disk; the next signal reopens.
        let _ = self.queue.try_send(Order::Reopen);
    }

    /// Batches of lines that were lost because the disk was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write(orders: &Receiver<Order>, path: PathBuf, mut file: File) {
    let mut failures = Failures::default();
    while let Ok(order) = orders.recv() {
        let done = match order {
            Order::Lines(lines) => file.write_all(&lines),
            Order::Reopen => open(&path).map(|opened| file = opened),
        };
        if let Err(error) = done
            && let Some(times) = failures.add(SystemClock.monotonic())
        {
            tracing::warn!(path = %path.display(), %error, times, "cannot write the access log");
        }
    }
}

/// Failures of the writer. A disk that is full fails every batch, which is no reason to fill the error log too.
#[derive(Debug, Default)]
struct Failures {
    told: Option<Instant>,
    untold: u64,
}

impl Failures {
    const INTERVAL: Duration = Duration::from_secs(10);

    /// Counts one. If they are to be told now: how many there were since they were told last.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let is_recent = |told| now.saturating_duration_since(told) < Self::INTERVAL;
        if self.told.is_some_and(is_recent) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// The lines that one worker has gathered.
#[derive(Debug, Default)]
pub struct Batch(RefCell<Vec<u8>>);

impl Batch {
    const FULL: usize = 32 << 10;

    /// Adds the line of an exchange; `time` appends the time of day.
    pub fn add(&self, log: &AccessLog, entry: &Entry<'_>, time: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.0.borrow_mut();
        write_line(&mut lines, log.format, entry, time);
        if lines.len() >= Self::FULL {
            send(log, &mut lines);
        }
    }

    /// Hands what is gathered to the writer.
    pub fn flush(&self, log: &AccessLog) {
        let mut lines = self.0.borrow_mut();
        if !lines.is_empty() {
            send(log, &mut lines);
        }
    }
}

fn send(log: &AccessLog, lines: &mut Vec<u8>) {
    let batch = std::mem::replace(lines, Vec::with_capacity(Batch::FULL));
    if log.queue.try_send(Order::Lines(batch)).is_err() {
        log.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn write_line(
    to: &mut Vec<u8>,
    format: Format,
    entry: &Entry<'_>,
    time: impl FnOnce(&mut Vec<u8>),
) {
    to.extend_from_slice(entry.client.as_bytes());
    to.extend_from_slice(b" - ");
    escape(to, entry.user);
    to.extend_from_slice(b" [");
    time(to);
    to.extend_from_slice(b"] \"");
    escape(to, entry.request);
    // Writing to a Vec cannot fail.
    let _ = write!(to, "\" {} {} \"", entry.status, entry.body_bytes);
    escape(to, entry.referer);
    to.extend_from_slice(b"\" \"");
    escape(to, entry.user_agent);
    to.push(b'"');
    if format == Format::Kong {
        to.extend_from_slice(b" kong_request_id: \"");
        to.extend_from_slice(entry.request_id);
        to.push(b'"');
    }
    to.push(b'\n');
}

/// nginx's escaping, so that a client cannot forge a line; an absent value is a dash.
fn escape(to: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        to.push(b'-');
    }
    for &byte in text {
        if !(b' '..0x7f).contains(&byte) || byte == b'"' || byte == b'\\' {
            let _ = write!(to, "\\x{byte:02X}");
        } else {
            to.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once_an_interval_with_their_number() {
        let begin = SystemClock.monotonic();
        let mut failures = Failures::default();
        assert_eq!(failures.add(begin), Some(1));
        assert_eq!(failures.add(begin), None);
        assert_eq!(failures.add(begin + Failures::INTERVAL / 2), None);
        assert_eq!(failures.add(begin + Failures::INTERVAL), Some(3));
        assert_eq!(failures.add(begin + Failures::INTERVAL), None);
    }

    #[test]
    fn a_line_has_kongs_shape_and_cannot_be_forged() {
        let mut line = Vec::new();
        let entry = Entry {
            client: "127.0.0.1",
            request: b"GET /\"\n HTTP/1.1",
            status: 200,
            body_bytes: 5,
            user_agent: b"curl\\",
            request_id: b"7",
            ..Entry::default()
        };
        write_line(&mut line, Format::Kong, &entry, |to| {
            to.extend_from_slice(b"NOW")
        });
        let expected = "127.0.0.1 - - [NOW] \"GET /\\x22\\x0A HTTP/1.1\" 200 5 \"-\" \"curl\\x5C\" kong_request_id: \"7\"\n";
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }
}
