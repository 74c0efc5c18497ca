//! A collector that takes batches over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_api::{HttpRequest, Network, Services, TlsOptions};
use serde::Deserialize;

use crate::queue::{Refusal, millis};

/// The longest answer of a server that is read.
const MOST_ANSWER: usize = 1 << 20;
/// How much of an answer that is an error is told.
const MOST_TOLD: usize = 256;
/// How long an idle connection to a server of traces is kept. Compat: nginx's.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// The status of RFC 9110, section 15.5.14.
const CONTENT_TOO_LARGE: u16 = 413;

/// The server.
pub struct HttpServer {
    pub network: Arc<dyn Network>,
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// The statuses that say that a batch was taken.
    pub takes: fn(u16) -> bool,
}

/// The timeouts of plugins that send spans, in milliseconds.
#[derive(Deserialize)]
pub struct Timeouts {
    connect_timeout: f64,
    send_timeout: f64,
    read_timeout: f64,
}

impl Timeouts {
    /// How long a batch may take in all.
    pub fn total(&self) -> Duration {
        millis(self.connect_timeout + self.send_timeout + self.read_timeout)
    }
}

impl HttpServer {
    /// One that takes spans, or what else there is of traces, by `POST`.
    pub fn of_traces(
        services: &Services,
        url: &str,
        headers: Vec<(String, Vec<u8>)>,
        timeout: Duration,
        takes: fn(u16) -> bool,
    ) -> Self {
        Self {
            network: services.network.clone(),
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers,
            timeout,
            keep_alive: KEEP_ALIVE,
            takes,
        }
    }

    /// Sends a body.
    pub async fn send(&self, body: Bytes) -> Result<(), Refusal> {
        let request = HttpRequest {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body,
            timeout: self.timeout,
            keep_alive: self.keep_alive,
            // Compat: the certificate of the server is not checked.
            tls: TlsOptions::default(),
            max_response: MOST_ANSWER,
        };
        let answer = self.network.http(request).await;
        let answer = answer.map_err(|error| format!("the server: {error}"))?;
        if (self.takes)(answer.status) {
            return Ok(());
        }
        let told = answer.body.get(..MOST_TOLD).unwrap_or(&answer.body);
        let told = String::from_utf8_lossy(told);
        Err(Refusal {
            reason: format!("the server answered {}: {told:?}", answer.status),
            is_too_large: answer.status == CONTENT_TOO_LARGE,
        })
    }
}

/// Configured headers, with those that are needed besides.
pub fn headers(
    services: &Services,
    content_type: &str,
    mut named: BTreeMap<String, String>,
) -> Vec<(String, Vec<u8>)> {
    for (name, value) in [
        ("Content-Type", content_type),
        ("User-Agent", &*services.node.token),
    ] {
        if !named.keys().any(|named| named.eq_ignore_ascii_case(name)) {
            named.insert(name.to_owned(), value.to_owned());
        }
    }
    let named = named.into_iter();
    named
        .map(|(name, value)| (name, value.into_bytes()))
        .collect()
}
