//! Sends each entry as a datagram.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use plugin_api::{
    Configured, Destination, Exchange, Failure, Handler, Needs, NetworkError, Services, Summary,
};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Batch, Collector, Limits, Queue, Sending, millis};

#[derive(Debug, Deserialize)]
struct Config {
    host: String,
    port: u16,
    timeout: f64,
}

struct UdpLog {
    entries: Entries,
    queue: Arc<Queue>,
}

/// Whoever receives datagrams.
pub struct Datagrams {
    services: Services,
    to: Destination,
    timeout: Duration,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(UdpLog {
        entries: Entries::of("udp-log", record, services)?,
        queue: Datagrams::queue(
            services,
            "udp-log",
            &config.host,
            config.port,
            config.timeout,
        ),
    }))
}

impl Handler for UdpLog {
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.entries.send(exchange, summary, b"", &self.queue);
    }
}

impl Datagrams {
    /// A queue of datagrams to a place; `timeout` in milliseconds.
    pub fn queue(
        services: &Services,
        plugin: &'static str,
        host: &str,
        port: u16,
        timeout: f64,
    ) -> Arc<Queue> {
        let parameters = format!("{host} {port} {timeout}");
        let limits = Limits::of_datagrams();
        Queue::of(services, plugin, &parameters, limits, || {
            Box::new(Self {
                services: services.clone(),
                to: Destination {
                    host: host.to_owned(),
                    port,
                },
                timeout: millis(timeout),
            })
        })
    }

    /// Sends one, which may take long where the host's name has to be looked up.
    async fn send_one(&self, entry: Bytes) -> Result<(), NetworkError> {
        let mut sent = self.services.network.datagram(self.to.clone(), entry);
        let mut late = self.services.background.sleep(self.timeout);
        poll_fn(|cx| match sent.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(sent),
            Poll::Pending => late.as_mut().poll(cx).map(|()| Err(NetworkError::Timeout)),
        })
        .await
    }
}

impl Collector for Datagrams {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            let Destination { host, port } = &self.to;
            for entry in batch.entries() {
                self.send_one(entry)
                    .await
                    .map_err(|error| format!("{host}:{port}: {error}"))?;
            }
            Ok(())
        })
    }
}
