//! Spans as Zipkin's API takes them, version 2.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::propagation::SpanId;

/// A span that is over.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span<'a> {
    pub trace_id: &'a str,
    pub name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub parent_id: Option<SpanId>,
    #[serde(serialize_with = "as_text")]
    pub id: Option<SpanId>,
    pub kind: Kind,
    /// Microseconds since 1970.
    pub timestamp: u64,
    /// Microseconds.
    pub duration: u64,
    pub local_endpoint: Option<Endpoint<'a>>,
    /// Compat: null if nothing is known of it.
    pub remote_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
}

/// Values by name; Zipkin wants none that is empty.
pub type Tags<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    Server,
    Client,
}

/// One side of a call.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl<'a> Endpoint<'a> {
    /// The endpoint of a service, at an address; `None` if there is neither.
    pub fn of(service_name: Option<Cow<'a, str>>, address: Option<SocketAddr>) -> Option<Self> {
        if service_name.is_none() && address.is_none() {
            return None;
        }
        let ip = address.map(|address| address.ip().to_canonical());
        Some(Self {
            service_name,
            ipv4: ip.filter(IpAddr::is_ipv4),
            ipv6: ip.filter(IpAddr::is_ipv6),
            port: address.map(|address| address.port()),
        })
    }
}

/// Something that happened during a span.
#[derive(Debug, Serialize)]
pub struct Annotation {
    pub value: &'static str,
    /// Microseconds since 1970.
    pub timestamp: u64,
}

impl Annotation {
    pub fn at(value: &'static str, time: SystemTime) -> Self {
        Self {
            value,
            timestamp: micros(time),
        }
    }
}

/// Microseconds since 1970.
pub fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn as_text<S: serde::Serializer>(id: &Option<SpanId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}
