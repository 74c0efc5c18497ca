//! Sends entries as lines over one connection.

use std::sync::Arc;

use plugin_api::{
    Configured, Destination, Exchange, Failure, Handler, Needs, Services, Summary, TlsOptions,
};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Batch, Collector, Limits, Queue, Sending, millis};
use crate::stream::Stream;

#[derive(Debug, Deserialize)]
struct Config {
    host: String,
    port: u16,
    timeout: f64,
    keepalive: f64,
    tls: bool,
    tls_sni: Option<String>,
}

struct TcpLog {
    entries: Entries,
    queue: Arc<Queue>,
}

struct Server(Stream);

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let parameters = format!("{config:?}");
    let queue = Queue::of(services, "tcp-log", &parameters, Limits::of_lines(), || {
        Box::new(Server::of(config, services))
    });
    Ok(Arc::new(TcpLog {
        entries: Entries::of("tcp-log", record, services)?,
        queue,
    }))
}

impl Handler for TcpLog {
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.entries.send(exchange, summary, b"", &self.queue);
    }
}

impl Server {
    fn of(config: Config, services: &Services) -> Self {
        let to = Destination {
            host: config.host,
            port: config.port,
        };
        // Compat: the certificate of the server is not checked.
        let tls = config.tls.then_some(TlsOptions {
            server_name: config.tls_sni,
            verify: false,
        });
        let (timeout, keep_alive) = (millis(config.timeout), millis(config.keepalive));
        Self(Stream::to(services, to, tls, timeout, keep_alive))
    }
}

impl Collector for Server {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move { Ok(self.0.write(&batch.text()).await?) })
    }
}
