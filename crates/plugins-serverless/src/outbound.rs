//! What calls of functions have in common: how answers of theirs become answers to the client.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use plugin_api::{Body, Exchange, Failure, NodeFacts, Reply};

/// Headers of an answer that only say how it came here, or that every answer of the gateway gets anew.
const ENDING_HERE: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How long a connection without a limit is kept.
const DAY: Duration = Duration::from_secs(86_400);

/// The answer that a client gets in place of an upstream's.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

impl Answer {
    /// Replaces all headers of a name.
    pub fn replace_header(&mut self, name: &str, values: Vec<Vec<u8>>) {
        self.headers
            .retain(|(held, _)| !held.eq_ignore_ascii_case(name));
        let values = values.into_iter();
        self.headers
            .extend(values.map(|value| (name.to_owned(), value)));
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(held, _)| held.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The reply, with the headers that may travel on and `Via`.
    pub fn into_reply(mut self, exchange: &Exchange<'_>, node: &NodeFacts) -> Reply {
        if node.sends_via {
            let version = if exchange.connection.http2 {
                "2"
            } else {
                "1.1"
            };
            let mut via = self.header("Via").map_or_else(Vec::new, <[u8]>::to_vec);
            if !via.is_empty() {
                via.extend_from_slice(b", ");
            }
            via.extend_from_slice(format!("{version} {}", node.token).as_bytes());
            self.replace_header("Via", vec![via]);
        }
        // A client takes what follows these for the next answer.
        if matches!(self.status, 204 | 304) {
            self.body = Bytes::new();
        }
        let mut reply = Reply::new(self.status).with_body(Body::Bytes(self.body));
        reply.headers = self
            .headers
            .into_iter()
            .filter(|(name, _)| {
                let ends = ENDING_HERE
                    .iter()
                    .any(|ending| ending.eq_ignore_ascii_case(name));
                !ends
            })
            .map(|(name, value)| (Cow::Owned(name), value))
            .collect();
        reply
    }
}

/// A time limit of the configuration, which is in milliseconds.
///
/// # Errors
/// When it is none, with the name of the setting.
pub fn time_limit(name: &str, milliseconds: f64) -> Result<Duration, Failure> {
    let limit = Duration::try_from_secs_f64(milliseconds / 1000.0);
    match limit {
        Ok(limit) if !limit.is_zero() => Ok(limit),
        _ => Err(Failure::new(format!("{name}: {milliseconds} is no time"))),
    }
}

/// How long an idle connection is kept, of the configuration. Compat: zero is no limit.
///
/// # Errors
/// As [`time_limit`].
pub fn keep_alive(name: &str, milliseconds: f64) -> Result<Duration, Failure> {
    if milliseconds == 0.0 {
        return Ok(DAY);
    }
    time_limit(name, milliseconds)
}
