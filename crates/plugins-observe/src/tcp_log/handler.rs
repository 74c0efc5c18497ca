//! Sends entries as lines over one connection, which is opened anew when it has ended.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::{
    Configured, Connection, Destination, Exchange, Failure, Handler, Needs, NetworkError, Services,
    Summary, TlsOptions,
};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Collector, Limits, Queue, Sending, lines, millis};

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

struct Server {
    services: Services,
    to: Destination,
    tls: Option<TlsOptions>,
    timeout: Duration,
    keep_alive: Duration,
    idle: Mutex<Option<Idle>>,
}

/// A connection that waits for the next lines.
struct Idle {
    connection: Box<dyn Connection>,
    since: Instant,
}

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
        Self {
            services: services.clone(),
            to: Destination {
                host: config.host,
                port: config.port,
            },
            // Compat: the certificate of the server is not checked.
            tls: config.tls.then_some(TlsOptions {
                server_name: config.tls_sni,
                verify: false,
            }),
            timeout: millis(config.timeout),
            keep_alive: millis(config.keepalive),
            idle: Mutex::default(),
        }
    }

    /// The connection that waits, if it is still one; else a new one.
    async fn connection(&self) -> Result<Box<dyn Connection>, String> {
        let idle = self.idle.lock().take();
        if let Some(Idle {
            mut connection,
            since,
        }) = idle
        {
            let now = self.services.clock.monotonic();
            let is_fresh = now.saturating_duration_since(since) < self.keep_alive;
            if is_fresh && is_open(&mut *connection).await {
                return Ok(connection);
            }
        }
        let network = &self.services.network;
        let opened = network.connect(self.to.clone(), self.tls.clone(), self.timeout);
        opened.await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &NetworkError) -> String {
        format!("{}:{}: {error}", self.to.host, self.to.port)
    }
}

/// Whether the other side has neither ended the connection nor said anything.
async fn is_open(connection: &mut dyn Connection) -> bool {
    let mut read = connection.read(1);
    poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await
}

impl Collector for Server {
    fn send<'a>(&'a self, batch: &'a [Bytes]) -> Sending<'a> {
        Box::pin(async move {
            let mut connection = self.connection().await?;
            let text = lines(batch);
            let written = connection.write(&text).await;
            written.map_err(|error| self.failed(&error))?;
            *self.idle.lock() = Some(Idle {
                connection,
                since: self.services.clock.monotonic(),
            });
            Ok(())
        })
    }
}
