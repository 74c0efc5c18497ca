//! Sends batches of entries to an HTTP server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::{
    Configured, Exchange, Failure, Handler, HttpRequest, Needs, Network, Services, Summary,
    TlsOptions,
};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Batch, Collector, Framing, Limits, Queue, Refusal, Sending, millis};

/// The longest answer of a server that is read.
const MOST_ANSWER: usize = 1 << 20;
/// How much of an answer that is an error is told.
const MOST_TOLD: usize = 256;
/// The status of RFC 9110, section 15.5.14.
const CONTENT_TOO_LARGE: u16 = 413;

#[derive(Deserialize)]
struct Config {
    http_endpoint: String,
    method: String,
    content_type: String,
    timeout: f64,
    keepalive: f64,
    headers: Option<BTreeMap<String, String>>,
}

struct HttpLog {
    entries: Entries,
    queue: Arc<Queue>,
}

/// The server.
struct Server {
    network: Arc<dyn Network>,
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    timeout: Duration,
    keep_alive: Duration,
    /// Whether entries are sent in a list.
    lists: bool,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let limits = Limits::read(record)?;
    let parameters = format!(
        "{} {} {} {} {} {:?} {limits:?}",
        config.http_endpoint,
        config.method,
        config.content_type,
        config.timeout,
        config.keepalive,
        config.headers,
    );
    let lists = limits.batch > 1;
    let queue = Queue::of(services, "http-log", &parameters, limits, || {
        Box::new(Server::of(config, services, lists))
    });
    Ok(Arc::new(HttpLog {
        entries: Entries::of("http-log", record, services)?,
        queue,
    }))
}

impl Handler for HttpLog {
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.entries.send(exchange, summary, b"", &self.queue);
    }
}

impl Server {
    fn of(config: Config, services: &Services, lists: bool) -> Self {
        let (url, user_info) = split_user_info(&config.http_endpoint);
        let mut headers = vec![("Content-Type".to_owned(), config.content_type.into_bytes())];
        if let Some(user_info) = user_info {
            let value = format!("Basic {}", STANDARD.encode(user_info));
            headers.push(("Authorization".to_owned(), value.into_bytes()));
        }
        let mut named = config.headers.unwrap_or_default();
        if !named
            .keys()
            .any(|name| name.eq_ignore_ascii_case("user-agent"))
        {
            let token = services.node.token.to_string();
            named.insert("User-Agent".to_owned(), token);
        }
        let named = named.into_iter();
        headers.extend(named.map(|(name, value)| (name, value.into_bytes())));
        Self {
            network: services.network.clone(),
            method: config.method,
            url,
            headers,
            timeout: millis(config.timeout),
            keep_alive: millis(config.keepalive),
            lists,
        }
    }
}

impl Collector for Server {
    fn framing(&self) -> Framing {
        match self.lists {
            true => Framing::List,
            false => Framing::Lines,
        }
    }

    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            // An entry that does not come in a list comes alone.
            let body = match self.lists {
                true => batch.text(),
                false => batch.entries().next().unwrap_or_default(),
            };
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
            if answer.status < 300 {
                return Ok(());
            }
            let told = answer.body.get(..MOST_TOLD).unwrap_or(&answer.body);
            let told = String::from_utf8_lossy(told);
            Err(Refusal {
                reason: format!("the server answered {}: {told:?}", answer.status),
                is_too_large: answer.status == CONTENT_TOO_LARGE,
            })
        })
    }
}

/// The URL without what stands before an `@` in its authority, and that.
fn split_user_info(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user_info, host)) => (
            format!("{scheme}://{host}{path}"),
            Some(user_info.to_owned()),
        ),
        None => (url.to_owned(), None),
    }
}
