//! Versions of the configuration in requests and answers: which one a write made, which one a read needs, and waiting
//! until the whole cluster has it.

use std::time::Duration;

use axum::response::Response;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use store::Version;

use crate::cluster::ClusterNode;
use crate::error::Error;
use crate::{State, answer};

/// In a request that reads: the version that the answer has to know at least. In a request that writes: any value.
/// In the answer to either: the version that the write made, or that the node serves.
///
/// Only on demand, because clients of Kong compare answers as a whole.
pub const CONFIG_VERSION: HeaderName = HeaderName::from_static("x-silverback-config-version");

/// In the answer to a write that waited in vain: the live nodes that do not have it yet.
pub const LAGGARDS: HeaderName = HeaderName::from_static("x-silverback-laggards");

/// The version that an answer tells in [`CONFIG_VERSION`].
#[derive(Debug, Clone, Copy)]
pub struct ToldVersion(pub Version);

/// How long `wait=cluster` waits unless `wait_timeout` says otherwise, and the longest that it may say.
const WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Laggards that are named; the others are counted.
const NAMED: usize = 20;

/// What a request asks for besides its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    is_write: bool,
    /// For a read: what it has to know at least.
    at_least: Option<Version>,
    /// Whether the answer tells a version.
    tell: bool,
    /// For a write: how long to wait for the cluster.
    wait: Option<Duration>,
}

impl Wishes {
    /// Reads the header and the arguments `wait` and `wait_timeout`; those are refused before anything is written.
    pub fn read(request: &Parts, query: &Map<String, Value>) -> Result<Self, Error> {
        let is_write = !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let header = request.headers.get(CONFIG_VERSION);
        let at_least = match header.map(|value| value.to_str().map(str::trim)) {
            Some(Ok(text)) if !is_write && !text.is_empty() => {
                let number = text.parse().map_err(|_| {
                    refused(format!(
                        "invalid {CONFIG_VERSION} '{text}' (expected a version as a write answers it)"
                    ))
                })?;
                Some(Version(number))
            }
            _ => None,
        };
        let wait = match query.get("wait") {
            Some(wait) if is_write => match wait.as_str() {
                Some("cluster") => Some(timeout(query)?),
                _ => return Err(refused("invalid wait (expected 'cluster')".to_owned())),
            },
            _ => None,
        };
        Ok(Self {
            is_write,
            at_least,
            tell: header.is_some(),
            wait,
        })
    }

    /// Waits, for at most a while, until this node knows what a read needs; the answer to it is at least as new as the
    /// version that comes back.
    pub async fn before(&self, state: &State) -> Result<Option<Version>, Error> {
        if self.is_write || !self.tell {
            return Ok(None);
        }
        let cluster = state.cluster.as_ref();
        if let Some(wanted) = self.at_least
            && !cluster.reach(wanted, state.options.apply_timeout).await
        {
            return Err(Error::Behind { wanted });
        }
        Ok(cluster.standing().applied)
    }

    /// Waits for the other nodes if that is wished for, and says who did not follow in time.
    pub async fn after(&self, state: &State, mut response: Response) -> Response {
        let made = response.extensions().get::<ToldVersion>().copied();
        let (Some(ToldVersion(version)), Some(limit)) = (made, self.wait) else {
            return response;
        };
        let laggards = match state.cluster.wait(version, limit).await {
            Ok(laggards) if laggards.is_empty() => return response,
            Ok(laggards) => names(&laggards),
            Err(error) => {
                tracing::warn!("whether all nodes have a change cannot be told: {error}");
                "unknown".to_owned()
            }
        };
        *response.status_mut() = StatusCode::ACCEPTED;
        if let Ok(value) = HeaderValue::from_str(&laggards) {
            response.headers_mut().insert(LAGGARDS, value);
        }
        response
    }
}

/// Seconds with a fraction.
fn timeout(query: &Map<String, Value>) -> Result<Duration, Error> {
    let Some(text) = query.get("wait_timeout") else {
        return Ok(WAIT);
    };
    let seconds = text
        .as_str()
        .and_then(|text| text.trim().parse::<f64>().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|limit| *limit <= LONGEST_WAIT)
        .ok_or_else(|| {
            let longest = LONGEST_WAIT.as_secs();
            refused(format!(
                "invalid wait_timeout (expected seconds from 0 to {longest})"
            ))
        })
}

fn refused(message: String) -> Error {
    Error::Refused(StatusCode::BAD_REQUEST, message)
}

/// `hostname/id` of each, as far as a header should go.
fn names(nodes: &[ClusterNode]) -> String {
    let visible = |c: char| c.is_ascii_graphic() && c != ',';
    let named = nodes.iter().take(NAMED).map(|node| {
        let hostname: String = node.hostname.chars().filter(|c| visible(*c)).collect();
        format!("{hostname}/{}", node.id)
    });
    let mut names: Vec<String> = named.collect();
    if nodes.len() > NAMED {
        names.push(format!("and {} more", nodes.len() - NAMED));
    }
    names.join(", ")
}

/// The answer of a node that cannot do now what it surely can later.
pub fn later(message: &str) -> Response {
    /// Long enough for a failover to end, short enough for a script to wait.
    const SECONDS: HeaderValue = HeaderValue::from_static("5");
    let mut response = answer::message(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(RETRY_AFTER, SECONDS);
    response
}

#[cfg(test)]
mod tests;
