//! Sends batches of entries to an HTTP server.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Services, Summary};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::http_server::{self, HttpServer};
use crate::queue::{Batch, Collector, Framing, Limits, Queue, Sending, millis};

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
    http: HttpServer,
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
        let named = config.headers.unwrap_or_default();
        let mut headers = http_server::headers(services, &config.content_type, named);
        if let Some(user_info) = user_info {
            let value = format!("Basic {}", STANDARD.encode(user_info));
            headers.push(("Authorization".to_owned(), value.into_bytes()));
        }
        Self {
            http: HttpServer {
                network: services.network.clone(),
                method: config.method,
                url,
                headers,
                timeout: millis(config.timeout),
                keep_alive: millis(config.keepalive),
                takes: |status| status < 300,
            },
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
        // An entry that does not come in a list comes alone.
        let body = match self.lists {
            true => batch.text(),
            false => batch.entries().next().unwrap_or_default(),
        };
        Box::pin(self.http.send(body))
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
