//! The log entry of an exchange, with the members that Kong's `kong.log.serialize` gives it.

mod json;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::{Field, Headers, Known};
use schema::Record;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::json::{Object, write_escaped, write_list, write_number, write_text};
use crate::{Exchange, LogEdit, LogMode, Summary, Try, arguments};

/// The most header lines and the most arguments that an entry tells. Compat: as Kong's PDK without a wish of its own.
const MOST: usize = 100;

/// The entry of one exchange, to be written as JSON at once.
///
/// Route, service and workspace are not in it: they are records that have to be looked up ([`LoggedRecord`]).
/// Invariant: credentials in `Authorization` and `Proxy-Authorization` are not in it, and neither are bodies. Bytes that
/// are no UTF-8 stand there as U+FFFD; control characters are escaped, so that an entry is always a single line.
pub struct LogEntry<'a, 'b> {
    exchange: &'a Exchange<'b>,
    summary: &'a Summary<'a>,
}

impl<'a, 'b> LogEntry<'a, 'b> {
    /// The entry of an exchange that is over. The head of the answer is in it if a handler needs that
    /// ([`Needs::answer_head`](crate::Needs::answer_head)).
    pub fn of(exchange: &'a Exchange<'b>, summary: &'a Summary<'a>) -> Self {
        Self { exchange, summary }
    }

    /// Writes it behind what is there, as one object.
    ///
    /// # Errors
    /// When a record cannot be written as JSON; nothing that a client sends leads to that.
    pub fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let Self { exchange, summary } = self;
        let mut entry = Object::begin(to);
        self.write_request(entry.object("request"));
        entry.text("upstream_uri", &exchange.target[..]);
        write_upstream_status(entry.name("upstream_status"), summary);
        self.write_response(entry.object("response"));
        self.write_latencies(entry.object("latencies"));
        if exchange.matched.route.is_some() {
            write_list(entry.name("tries"), summary.tries, write_try);
        }
        let consumer = exchange.work.consumer.as_ref();
        if let Some(credential) = &exchange.work.credential {
            let mut authenticated = entry.object("authenticated_entity");
            authenticated.text("id", &*credential.id);
            if let Some(consumer) = consumer {
                authenticated.value("consumer_id", &Id(consumer.id))?;
            }
            authenticated.end();
        }
        if let Some(consumer) = consumer {
            let record = &consumer.record;
            let workspace = None;
            entry.value("consumer", &LoggedRecord { record, workspace })?;
        }
        match exchange.client_ip() {
            Some(address) => write_address(entry.name("client_ip"), address),
            None => entry.text("client_ip", "unix:"),
        }
        entry.number("started_at", millis(since_epoch(summary.started_at)));
        entry.text("source", summary.source.name());
        entry.end();
        Ok(())
    }

    fn write_request(&self, mut request: Object<'_>) {
        let (exchange, uri) = (self.exchange, self.summary.uri);
        let connection = &exchange.connection;
        request.text("id", connection.request_id);
        request.text("method", exchange.head.method().as_str());
        request.text("uri", uri);
        let scheme: &[u8] = match connection.tls {
            Some(_) => b"\"https://",
            None => b"\"http://",
        };
        let url = request.name("url");
        url.extend_from_slice(scheme);
        write_escaped(url, connection.host.as_bytes());
        url.push(b':');
        write_number(url, connection.port.into());
        write_escaped(url, uri.as_bytes());
        url.push(b'"');
        let query = match exchange.matched.route {
            Some(_) => exchange.query(),
            None => query_of(uri),
        };
        write_query(request.object("querystring"), query);
        let headers = Some(&exchange.head.headers);
        write_headers(request.object("headers"), headers, Credentials::Hidden);
        request.number("size", self.summary.request_size);
        if let Some(tls) = &connection.tls {
            let mut written = request.object("tls");
            written.text("version", tls.version);
            written.text("cipher", tls.cipher);
            let verified = match tls.client_certificates {
                [] => "NONE",
                _ => "FAILED:certificates of clients are not verified here",
            };
            written.text("client_verify", verified);
            written.end();
        }
        request.end();
    }

    fn write_response(&self, mut response: Object<'_>) {
        response.number("status", self.summary.status.into());
        let headers = self.summary.head.map(|head| &head.headers);
        write_headers(response.object("headers"), headers, Credentials::Shown);
        response.number("size", self.summary.response_size);
        response.end();
    }

    /// Milliseconds; -1 for an upstream that was not asked.
    fn write_latencies(&self, mut written: Object<'_>) {
        let latencies = &self.summary.latencies;
        written.number("kong", millis(latencies.gateway));
        match latencies.upstream {
            Some(time) => written.number("proxy", millis(time)),
            None => written.name("proxy").extend_from_slice(b"-1"),
        }
        written.number("request", millis(latencies.request));
        written.number("receive", millis(latencies.receive));
        written.end();
    }
}

fn write_try(to: &mut Vec<u8>, one: &Try) {
    let started = since_epoch(one.started_at);
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut attempt = Object::begin(to);
    write_address(attempt.name("ip"), one.address.ip());
    attempt.number("port", one.address.port().into());
    attempt.number("balancer_start", millis(started));
    attempt.number("balancer_start_ns", nanos(started));
    attempt.number("balancer_latency", millis(one.balancing));
    attempt.number("balancer_latency_ns", nanos(one.balancing));
    if let Some(failure) = one.failed {
        attempt.text("state", "failed");
        attempt.number("code", failure.code.into());
    }
    attempt.end();
}

impl LogEdit {
    /// Makes the edit. An edit whose path leads through something that is no object is left out.
    pub fn apply(&self, entry: &mut Map<String, Value>) {
        let (way, last) = match self.path.rsplit_once('.') {
            Some((way, last)) => (Some(way), last),
            None => (None, &*self.path),
        };
        let mut node = entry;
        for name in way.into_iter().flat_map(|way| way.split('.')) {
            if !node.contains_key(name) {
                if self.mode == LogMode::Replace {
                    return;
                }
                node.insert(name.to_owned(), Value::Object(Map::new()));
            }
            match node.get_mut(name) {
                Some(Value::Object(next)) => node = next,
                _ => return,
            }
        }
        let is_there = node.contains_key(last);
        let applies = match self.mode {
            LogMode::Always => true,
            LogMode::Add => !is_there,
            LogMode::Replace => is_there,
        };
        if !applies {
            return;
        }
        match &self.value {
            Some(value) => node.insert(last.to_owned(), value.clone()),
            None => node.remove(last),
        };
    }
}

/// A record as entries show it: members that are null are left out, and the workspace it belongs to stands with it.
#[derive(Debug, Clone, Copy)]
pub struct LoggedRecord<'a> {
    pub record: &'a Record,
    pub workspace: Option<Uuid>,
}

impl Serialize for LoggedRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.record.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(name, value)?;
        }
        if let Some(workspace) = self.workspace {
            map.serialize_entry("ws_id", &Id(workspace))?;
        }
        map.end()
    }
}

/// Compat: one status for each attempt, as nginx writes `$upstream_status`.
fn write_upstream_status(to: &mut Vec<u8>, summary: &Summary<'_>) {
    let failed = summary.tries.iter().filter_map(|one| one.failed);
    let statuses = failed.map(|failure| failure.code);
    to.push(b'"');
    for (at, status) in statuses.chain(summary.upstream_status).enumerate() {
        to.extend_from_slice(if at == 0 { b"" } else { b", " });
        write_number(to, status.into());
    }
    to.push(b'"');
}

fn query_of(uri: &str) -> &[u8] {
    let query = uri.split_once('?').map(|(_, query)| query);
    query.unwrap_or_default().as_bytes()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn write_address(to: &mut Vec<u8>, address: IpAddr) {
    to.push(b'"');
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                to.extend_from_slice(if at == 0 { b"" } else { b"." });
                write_number(to, octet.into());
            }
        }
        IpAddr::V6(address) => to.extend_from_slice(address.to_string().as_bytes()),
    }
    to.push(b'"');
}

/// An id as text.
struct Id(Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What becomes of the values of header lines that hold credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Shown,
    Hidden,
}

/// Header lines by name in lower case; several lines of a name are a list.
fn write_headers(mut object: Object<'_>, headers: Option<&Headers>, credentials: Credentials) {
    let Some(headers) = headers else {
        return object.end();
    };
    let lines = || headers.iter().take(MOST);
    for (at, line) in lines().enumerate() {
        let is_repeated = headers.is_repeated(line.known);
        let same = |other: &Field<'_>| is_same_name(&line, other);
        if is_repeated && lines().take(at).any(|other| same(&other)) {
            continue;
        }
        let to = object.header_name(&line);
        if credentials == Credentials::Hidden && is_credential(&line) {
            write_text(to, b"REDACTED");
        } else if is_repeated && lines().skip(at + 1).any(|other| same(&other)) {
            write_list(to, lines().filter(same), |to, line| {
                write_text(to, line.value)
            });
        } else {
            write_text(to, line.value);
        }
    }
    object.end();
}

fn is_same_name(one: &Field<'_>, other: &Field<'_>) -> bool {
    one.known == other.known
        && (one.known != Known::Other || one.name.eq_ignore_ascii_case(other.name))
}

fn is_credential(line: &Field<'_>) -> bool {
    match line.known {
        Known::Authorization => true,
        Known::Other => line.name.eq_ignore_ascii_case(b"proxy-authorization"),
        _ => false,
    }
}

/// The arguments of a query, decoded; several of a name are a list, and one without a value is `true`.
fn write_query(mut object: Object<'_>, query: &[u8]) {
    let named = arguments(query).filter(|argument| !argument.name.is_empty());
    let lossy = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let members = named
        .take(MOST)
        .map(|argument| (lossy(&argument.name), argument.value));
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    for group in members.chunk_by(|(one, _), (other, _)| one == other) {
        match group {
            [(name, value)] => write_argument(object.foreign_name(name.as_bytes()), value),
            [(name, _), ..] => {
                let values = group.iter().map(|(_, value)| value);
                write_list(object.foreign_name(name.as_bytes()), values, write_argument);
            }
            [] => {}
        }
    }
    object.end();
}

fn write_argument(to: &mut Vec<u8>, value: &Option<Cow<'_, [u8]>>) {
    match value {
        Some(value) => write_text(to, value),
        None => to.extend_from_slice(b"true"),
    }
}

#[cfg(test)]
mod tests;
