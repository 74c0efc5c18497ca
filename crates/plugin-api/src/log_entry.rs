//! The log entry of an exchange, with the members that Kong's `kong.log.serialize` gives it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::Headers;
use schema::Record;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Exchange, LogEdit, LogMode, Summary, Try, arguments};

/// The most header lines and the most arguments that an entry tells. Compat: as Kong's PDK without a wish of its own.
const MOST: usize = 100;

/// The entry of one exchange, to be written as JSON at once; or, if there are edits to make, turned into a map first.
///
/// Route, service and workspace are not in it: they are records that have to be looked up ([`LoggedRecord`]).
/// Invariant: credentials in `Authorization` and `Proxy-Authorization` are not in it, and neither are bodies. Bytes that
/// are no UTF-8 stand there as U+FFFD; control characters are escaped, so that an entry is always a single line.
#[derive(Serialize)]
pub struct LogEntry<'a> {
    request: Request<'a>,
    upstream_uri: Text<'a>,
    upstream_status: String,
    response: Response<'a>,
    latencies: Latencies,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<Vec<Attempt>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated_entity: Option<Authenticated<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<LoggedRecord<'a>>,
    #[serde(serialize_with = "write_address")]
    client_ip: Option<IpAddr>,
    started_at: u64,
    source: &'static str,
}

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    method: &'a str,
    uri: &'a str,
    url: String,
    querystring: Query<'a>,
    headers: HeaderMap<'a>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
}

#[derive(Serialize)]
struct Tls<'a> {
    version: &'a str,
    cipher: &'a str,
    client_verify: &'static str,
}

#[derive(Serialize)]
struct Response<'a> {
    status: u16,
    headers: HeaderMap<'a>,
    size: u64,
}

/// Milliseconds.
#[derive(Serialize)]
struct Latencies {
    kong: u64,
    proxy: i64,
    request: u64,
    receive: u64,
}

#[derive(Serialize)]
struct Attempt {
    ip: IpAddr,
    port: u16,
    balancer_start: u64,
    balancer_start_ns: u64,
    balancer_latency: u64,
    balancer_latency_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

#[derive(Serialize)]
struct Authenticated<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_id: Option<Id>,
}

impl<'a> LogEntry<'a> {
    /// The entry of an exchange that is over. The head of the answer is in it if a handler needs that
    /// ([`Needs::answer_head`](crate::Needs::answer_head)).
    pub fn of(exchange: &'a Exchange<'_>, summary: &'a Summary<'_>) -> Self {
        let connection = &exchange.connection;
        let is_routed = exchange.matched.route.is_some();
        let query = match is_routed {
            true => exchange.query(),
            false => query_of(summary.uri),
        };
        let scheme = if connection.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let (host, port, uri) = (connection.host, connection.port, summary.uri);
        let work = &*exchange.work;
        let tries = is_routed.then(|| summary.tries.iter().map(Attempt::of).collect());
        Self {
            request: Request {
                id: connection.request_id,
                method: exchange.head.method().as_str(),
                uri,
                url: format!("{scheme}://{host}:{port}{uri}"),
                querystring: Query(query),
                headers: HeaderMap {
                    headers: Some(&exchange.head.headers),
                    redacted: true,
                },
                size: summary.request_size,
                tls: connection.tls.as_ref().map(|tls| Tls {
                    version: tls.version,
                    cipher: tls.cipher,
                    client_verify: match tls.client_certificates {
                        [] => "NONE",
                        _ => "FAILED:certificates of clients are not verified here",
                    },
                }),
            },
            upstream_uri: Text(exchange.target),
            upstream_status: upstream_status(summary),
            response: Response {
                status: summary.status,
                headers: HeaderMap {
                    headers: summary.head.map(|head| &head.headers),
                    redacted: false,
                },
                size: summary.response_size,
            },
            latencies: Latencies {
                kong: millis(summary.latencies.gateway),
                proxy: match summary.latencies.upstream {
                    Some(time) => i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
                    None => -1,
                },
                request: millis(summary.latencies.request),
                receive: millis(summary.latencies.receive),
            },
            tries,
            authenticated_entity: work.credential.as_ref().map(|credential| Authenticated {
                id: &credential.id,
                consumer_id: work.consumer.as_ref().map(|consumer| Id(consumer.id)),
            }),
            consumer: work.consumer.as_ref().map(|consumer| LoggedRecord {
                record: &consumer.record,
                workspace: None,
            }),
            client_ip: exchange.client_ip(),
            started_at: millis(since_epoch(summary.started_at)),
            source: summary.source.name(),
        }
    }

    /// The entry as a map, for edits.
    ///
    /// # Errors
    /// When it cannot be written as JSON; nothing that a client sends leads to that.
    pub fn to_map(&self) -> Result<Map<String, Value>, serde_json::Error> {
        match serde_json::to_value(self)? {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }
}

impl Attempt {
    fn of(one: &Try) -> Self {
        let started = since_epoch(one.started_at);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            ip: one.address.ip(),
            port: one.address.port(),
            balancer_start: millis(started),
            balancer_start_ns: nanos(started),
            balancer_latency: millis(one.balancing),
            balancer_latency_ns: nanos(one.balancing),
            state: one.failed.map(|_| "failed"),
            code: one.failed.map(|failure| failure.code),
        }
    }
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
fn upstream_status(summary: &Summary<'_>) -> String {
    let mut text = String::new();
    let failed = summary.tries.iter().filter_map(|one| one.failed);
    let statuses = failed.map(|failure| failure.code);
    for status in statuses.chain(summary.upstream_status) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{status}");
    }
    text
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

fn write_address<S: Serializer>(address: &Option<IpAddr>, to: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => address.serialize(to),
        None => to.serialize_str("unix:"),
    }
}

/// An id as text.
struct Id(Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes that are mostly UTF-8.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

/// Header lines by name in lower case; several lines of a name are a list.
struct HeaderMap<'a> {
    headers: Option<&'a Headers>,
    /// Whether credentials are left out.
    redacted: bool,
}

impl Serialize for HeaderMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lines = Vec::new();
        for field in self.headers.into_iter().flat_map(Headers::iter).take(MOST) {
            let mut name = String::from_utf8_lossy(field.name);
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                name.to_mut().make_ascii_lowercase();
            }
            let hidden = self.redacted && is_credential(&name);
            if hidden && lines.iter().any(|(said, _)| *said == name) {
                continue;
            }
            let value = if hidden { b"REDACTED" } else { field.value };
            lines.push((name, Member::Text(String::from_utf8_lossy(value))));
        }
        write_grouped(lines, serializer)
    }
}

fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization")
}

/// The arguments of a query, decoded; several of a name are a list, and one without a value is `true`.
struct Query<'a>(&'a [u8]);

impl Serialize for Query<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lossy = |bytes: Cow<'_, [u8]>| match String::from_utf8(bytes.into_owned()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let named = arguments(self.0).filter(|argument| !argument.name.is_empty());
        let members = named.take(MOST).map(|argument| {
            let value = match argument.value {
                Some(value) => Member::Text(lossy(value).into()),
                None => Member::Flag(true),
            };
            (lossy(argument.name).into(), value)
        });
        write_grouped(members.collect(), serializer)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Member<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
}

/// Writes members as a map; what has one name stands in a list, in its order.
fn write_grouped<S: Serializer>(
    mut members: Vec<(Cow<'_, str>, Member<'_>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut map = serializer.serialize_map(None)?;
    for group in members.chunk_by(|(one, _), (other, _)| one == other) {
        match group {
            [(name, value)] => map.serialize_entry(name, value)?,
            [(name, _), ..] => {
                let values: Vec<_> = group.iter().map(|(_, value)| value).collect();
                map.serialize_entry(name, &values)?;
            }
            [] => {}
        }
    }
    map.end()
}

#[cfg(test)]
mod tests;
