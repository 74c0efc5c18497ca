//! The log entry of an exchange, with the members that Kong's `kong.log.serialize` gives it.

mod json;
mod subjects;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::{Field, Headers, Known};
use schema::Record;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::json::{Json, begin_header, write_escaped, write_list, write_text};
pub use self::subjects::{Described, LogSubjects};
use crate::{Exchange, LogEdit, LogMode, Summary, Try, arguments};

/// The most header lines and the most arguments that an entry tells. Compat: as Kong's PDK without a wish of its own.
const MOST: usize = 100;

/// The entry of one exchange, to be written as JSON at once.
///
/// Route, service and workspace are not in it: they are records that have to be looked up ([`LogSubjects`]).
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
    pub fn write(&self, to: &mut Vec<u8>) {
        let Self { exchange, summary } = self;
        self.write_request(to);
        let mut json = Json(to);
        json.raw(r#","upstream_uri":""#).text(exchange.target);
        json.raw(r#"","upstream_status":""#);
        write_upstream_status(&mut json, summary);
        json.raw(r#"","response":{"status":"#);
        json.number(summary.status.into()).raw(r#","headers":"#);
        let headers = summary.head.map(|head| &head.headers);
        write_headers(json.0, headers, Credentials::Shown);
        json.raw(r#","size":"#).number(summary.response_size);
        self.write_latencies(&mut json);
        if exchange.matched.route.is_some() {
            write_list(json.raw(r#","tries":"#).0, summary.tries, write_try);
        }
        let consumer = exchange.work.consumer.as_ref();
        if let Some(credential) = &exchange.work.credential {
            json.raw(r#","authenticated_entity":{"id":""#);
            json.text(credential.id.as_bytes()).raw("\"");
            if let Some(consumer) = consumer {
                let mut text = Uuid::encode_buffer();
                let id = consumer.id.hyphenated().encode_lower(&mut text);
                json.raw(r#","consumer_id":""#).plain(id).raw("\"");
            }
            json.raw("}");
        }
        if let Some(consumer) = consumer {
            json.raw(r#","consumer":"#);
            json.0.extend_from_slice(consumer.logged());
        }
        json.raw(r#","client_ip":""#);
        match exchange.client_ip() {
            Some(address) => write_address(&mut json, address),
            None => _ = json.raw("unix:"),
        }
        json.raw(r#"","started_at":"#);
        json.number(millis(since_epoch(summary.started_at)));
        json.raw(r#","source":""#).plain(summary.source.name());
        json.raw(r#""}"#);
    }

    /// Begins the entry with its first member.
    fn write_request(&self, to: &mut Vec<u8>) {
        let (exchange, uri) = (self.exchange, self.summary.uri);
        let connection = &exchange.connection;
        let mut json = Json(to);
        json.raw(r#"{"request":{"id":""#);
        json.plain(connection.request_id).raw(r#"","method":""#);
        json.text(exchange.head.method().as_str().as_bytes());
        json.raw(r#"","uri":""#).text(uri.as_bytes());
        json.raw(match connection.tls {
            Some(_) => r#"","url":"https://"#,
            None => r#"","url":"http://"#,
        });
        json.text(connection.host.as_bytes()).raw(":");
        json.number(connection.port.into()).text(uri.as_bytes());
        json.raw(r#"","querystring":"#);
        let query = match exchange.matched.route {
            Some(_) => exchange.query(),
            None => query_of(uri),
        };
        write_query(json.0, query);
        json.raw(r#","headers":"#);
        let headers = Some(&exchange.head.headers);
        write_headers(json.0, headers, Credentials::Hidden);
        json.raw(r#","size":"#).number(self.summary.request_size);
        if let Some(tls) = &connection.tls {
            json.raw(r#","tls":{"version":""#).plain(tls.version);
            json.raw(r#"","cipher":""#).plain(tls.cipher);
            json.raw(match tls.client_certificates {
                [] => r#"","client_verify":"NONE"}"#,
                _ => r#"","client_verify":"FAILED:certificates of clients are not verified here"}"#,
            });
        }
        json.raw("}");
    }

    /// Ends the answer, and tells where the time went, in milliseconds; -1 for an upstream that was not asked.
    fn write_latencies(&self, json: &mut Json<'_>) {
        let latencies = &self.summary.latencies;
        json.raw(r#"},"latencies":{"kong":"#);
        json.number(millis(latencies.gateway)).raw(r#","proxy":"#);
        match latencies.upstream {
            Some(time) => json.number(millis(time)),
            None => json.raw("-1"),
        };
        json.raw(r#","request":"#).number(millis(latencies.request));
        json.raw(r#","receive":"#).number(millis(latencies.receive));
        json.raw("}");
    }
}

fn write_try(to: &mut Vec<u8>, one: &Try) {
    let started = since_epoch(one.started_at);
    let mut json = Json(to);
    write_address(json.raw(r#"{"ip":""#), one.address.ip());
    json.raw(r#"","port":"#).number(one.address.port().into());
    json.raw(r#","balancer_start":"#).number(millis(started));
    json.raw(r#","balancer_start_ns":"#).number(nanos(started));
    json.raw(r#","balancer_latency":"#);
    json.number(millis(one.balancing));
    json.raw(r#","balancer_latency_ns":"#);
    json.number(nanos(one.balancing));
    if let Some(failure) = one.failed {
        json.raw(r#","state":"failed","code":"#);
        json.number(failure.code.into());
    }
    json.raw("}");
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
    record: &'a Record,
    workspace: Option<Uuid>,
}

impl<'a> LoggedRecord<'a> {
    pub fn of(record: &'a Record) -> Self {
        Self {
            record,
            workspace: None,
        }
    }

    /// The same with its workspace.
    pub fn within(self, workspace: Option<Uuid>) -> Self {
        Self { workspace, ..self }
    }
}

impl Serialize for LoggedRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.record.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(name, value)?;
        }
        if let Some(workspace) = self.workspace {
            map.serialize_entry("ws_id", &workspace)?;
        }
        map.end()
    }
}

/// Compat: one status for each attempt, as nginx writes `$upstream_status`.
fn write_upstream_status(json: &mut Json<'_>, summary: &Summary<'_>) {
    let failed = summary.tries.iter().filter_map(|one| one.failed);
    let statuses = failed.map(|failure| failure.code);
    for (at, status) in statuses.chain(summary.upstream_status).enumerate() {
        json.raw(if at == 0 { "" } else { ", " });
        json.number(status.into());
    }
}

fn query_of(uri: &str) -> &[u8] {
    let query = uri.split_once('?').map(|(_, query)| query);
    query.unwrap_or_default().as_bytes()
}

fn millis(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1000);
    whole.saturating_add(time.subsec_millis().into())
}

fn nanos(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(time.subsec_nanos().into())
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn write_address(json: &mut Json<'_>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            json.number(first.into());
            for octet in rest {
                json.raw(".").number(octet.into());
            }
        }
        IpAddr::V6(address) => _ = json.plain(&address.to_string()),
    }
}

/// What becomes of the values of header lines that hold credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Shown,
    Hidden,
}

/// Header lines by name in lower case; several lines of a name are a list.
fn write_headers(to: &mut Vec<u8>, headers: Option<&Headers>, credentials: Credentials) {
    let Some(headers) = headers else {
        return to.extend_from_slice(b"{}");
    };
    to.push(b'{');
    let lines = || headers.iter().take(MOST);
    for (at, line) in lines().enumerate() {
        let is_repeated = headers.is_repeated(line.known);
        let same = |other: &Field<'_>| is_same_name(&line, other);
        if is_repeated && lines().take(at).any(|other| same(&other)) {
            continue;
        }
        begin_header(to, &line);
        if credentials == Credentials::Hidden && is_credential(&line) {
            to.extend_from_slice(b"REDACTED\",");
        } else if is_repeated && lines().skip(at + 1).any(|other| same(&other)) {
            // Values of a list have quotes of their own.
            to.pop();
            write_list(to, lines().filter(same), |to, line| {
                write_text(to, line.value)
            });
            to.push(b',');
        } else {
            write_escaped(to, line.value);
            to.extend_from_slice(b"\",");
        }
    }
    // The last comma, if there is one.
    to.pop_if(|last| *last == b',');
    to.push(b'}');
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
fn write_query(to: &mut Vec<u8>, query: &[u8]) {
    let named = arguments(query).filter(|argument| !argument.name.is_empty());
    let lossy = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let members = named
        .take(MOST)
        .map(|argument| (lossy(&argument.name), argument.value));
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    let groups = members.chunk_by(|(one, _), (other, _)| one == other);
    to.push(b'{');
    for (at, group) in groups.enumerate() {
        let values = group.iter().map(|(_, value)| value);
        let name = group.first().map_or("", |(name, _)| name);
        to.extend_from_slice(if at == 0 { b"" } else { b"," });
        write_text(to, name.as_bytes());
        to.push(b':');
        match group {
            [(_, value)] => write_argument(to, value),
            _ => write_list(to, values, write_argument),
        }
    }
    to.push(b'}');
}

fn write_argument(to: &mut Vec<u8>, value: &Option<Cow<'_, [u8]>>) {
    match value {
        Some(value) => write_text(to, value),
        None => to.extend_from_slice(b"true"),
    }
}

#[cfg(test)]
mod tests;
