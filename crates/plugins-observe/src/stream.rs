//! A connection that takes lines, opened anew when it has ended.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugin_api::{Connection, Destination, NetworkError, Services, TlsOptions};

/// Where the lines go, and the connection that waits for the next ones.
pub struct Stream {
    services: Services,
    to: Destination,
    tls: Option<TlsOptions>,
    timeout: Duration,
    keep_alive: Duration,
    idle: Mutex<Option<Idle>>,
}

struct Idle {
    connection: Box<dyn Connection>,
    since: Instant,
}

impl Stream {
    /// A stream to a place; nothing is opened yet.
    pub fn to(
        services: &Services,
        to: Destination,
        tls: Option<TlsOptions>,
        timeout: Duration,
        keep_alive: Duration,
    ) -> Self {
        Self {
            services: services.clone(),
            to,
            tls,
            timeout,
            keep_alive,
            idle: Mutex::default(),
        }
    }

    /// Writes a text. If that fails, the error says where and why.
    pub async fn write(&self, text: &[u8]) -> Result<(), String> {
        let mut connection = self.connection().await?;
        let written = connection.write(text).await;
        written.map_err(|error| self.failed(&error))?;
        *self.idle.lock() = Some(Idle {
            connection,
            since: self.services.clock.monotonic(),
        });
        Ok(())
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
