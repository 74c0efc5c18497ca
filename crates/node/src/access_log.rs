//! The access logs of the Admin and Status APIs: the proxy's writer, shared by the tasks of the control side.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyper::header::{HeaderName, REFERER, USER_AGENT};
use net::Address;
use parking_lot::Mutex;
use proxy::access_log::{self, Batch, Format};
use proxy::moment::Moment;
use stdx::Clock;

/// An open log.
#[derive(Debug)]
pub struct AccessLog {
    log: access_log::AccessLog,
    line: Mutex<(Moment, Batch)>,
}

/// What a line says about a request, taken before the request is handed on.
#[derive(Debug)]
pub struct Entry {
    client: String,
    request: Vec<u8>,
    referer: Vec<u8>,
    user_agent: Vec<u8>,
}

impl Entry {
    /// Notes what the line will need.
    pub fn of<B>(request: &hyper::Request<B>, client: &Address) -> Self {
        let header = |name: HeaderName| {
            let value = request.headers().get(name);
            value.map_or_else(Vec::new, |value| value.as_bytes().to_vec())
        };
        let line = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.version()
        );
        Self {
            client: match client {
                Address::Ip(address) => address.ip().to_string(),
                Address::Unix(_) => "unix:".to_owned(),
            },
            request: line.into_bytes(),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
        }
    }
}

impl AccessLog {
    /// Opens a file for appending.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Ok(Self {
            log: access_log::AccessLog::open(path, Format::Combined)?,
            line: Mutex::new((Moment::new(clock), Batch::default())),
        })
    }

    /// Opens the file anew after something moved it away.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Writes a request's line.
    pub fn write(&self, entry: &Entry, status: u16, body_bytes: u64) {
        let line = self.line.lock();
        let (moment, batch) = &*line;
        let entry = access_log::Entry {
            client: &entry.client,
            request: &entry.request,
            status,
            body_bytes,
            referer: &entry.referer,
            user_agent: &entry.user_agent,
            ..access_log::Entry::default()
        };
        batch.add(&self.log, &entry, |to| moment.write_log_time(to));
        batch.flush(&self.log);
    }
}
