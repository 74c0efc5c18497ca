//! An LDAP server, and the connections to it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use plugin_api::{Connection, Destination, Failure, NetworkError, Services, TlsOptions};

use super::message::{self, Answer, BIND_RESPONSE, EXTENDED_RESPONSE, LONGEST};

/// How many connections wait for the next login.
const MOST_IDLE: usize = 32;
/// How much is read at once: answers are short.
const PIECE: usize = 1024;
/// The numbers of requests begin anew after this one (section 4.1.1.1 of RFC 4511).
const LAST_ID: u32 = i32::MAX as u32;

/// Where a server is, and how it is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub to: Destination,
    /// TLS from the start.
    pub tls: bool,
    /// TLS after a word in the clear.
    pub start_tls: bool,
    pub verify: bool,
    /// For a login as a whole.
    pub timeout: Duration,
    /// How long a connection may wait for the next login.
    pub keep_alive: Duration,
}

/// A server.
pub(super) struct Server {
    settings: Settings,
    services: Services,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that waits longest comes first.
    links: Vec<(Link, Instant)>,
    /// Whether somebody sees to it that they end in time.
    is_watched: bool,
}

/// An open connection.
struct Link {
    connection: Box<dyn Connection>,
    last_id: u32,
}

impl Server {
    pub fn new(settings: Settings, services: &Services) -> Arc<Self> {
        Arc::new(Self {
            settings,
            services: services.clone(),
            idle: Mutex::default(),
        })
    }

    /// What the server says to somebody who wants to be an entry.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn bind(self: &Arc<Self>, entry: &str, password: &[u8]) -> Result<Answer, Failure> {
        let asked = Box::pin(self.ask(entry, password));
        let late = self.services.background.sleep(self.settings.timeout);
        let asked = match select(asked, late).await {
            Either::Left((asked, _)) => asked,
            Either::Right(_) => Err(NetworkError::Timeout.into()),
        };
        asked.map_err(|Unasked(reason)| {
            let Destination { host, port } = &self.settings.to;
            Failure::new(format!("the LDAP server {host}:{port}: {reason}"))
        })
    }

    async fn ask(self: &Arc<Self>, entry: &str, password: &[u8]) -> Result<Answer, Unasked> {
        // A server ends connections whenever it likes: only a new one says that it cannot be asked.
        if let Some(mut link) = self.take_idle() {
            if let Ok(answer) = link.bind(entry, password).await {
                self.keep(link);
                return Ok(answer);
            }
            self.idle.lock().links.clear();
        }
        let mut link = self.open().await?;
        let answer = link.bind(entry, password).await?;
        self.keep(link);
        Ok(answer)
    }

    async fn open(&self) -> Result<Link, Unasked> {
        let settings = &self.settings;
        let tls = || TlsOptions {
            server_name: None,
            verify: settings.verify,
        };
        let from_start = settings.tls.then(tls);
        let network = &self.services.network;
        let opened = network.connect(settings.to.clone(), from_start, settings.timeout);
        let mut link = Link {
            connection: opened.await?,
            last_id: 0,
        };
        if settings.start_tls {
            link.start_tls(&tls()).await?;
        }
        Ok(link)
    }

    /// The connection that was used last, if it may still be used.
    fn take_idle(&self) -> Option<Link> {
        let now = self.services.clock.monotonic();
        let mut idle = self.idle.lock();
        idle.end_until(now, self.settings.keep_alive);
        idle.links.pop().map(|(link, _)| link)
    }

    fn keep(self: &Arc<Self>, link: Link) {
        if self.settings.keep_alive.is_zero() {
            return;
        }
        let now = self.services.clock.monotonic();
        let mut idle = self.idle.lock();
        if idle.links.len() < MOST_IDLE {
            idle.links.push((link, now));
        }
        let is_watched = std::mem::replace(&mut idle.is_watched, true);
        drop(idle);
        if !is_watched {
            let watch = watch(Arc::downgrade(self), self.services.clone(), &self.settings);
            self.services.background.spawn(Box::pin(watch));
        }
    }

    /// Ends the connections that have waited too long; how long the next one may still wait, if one is left.
    fn end_idle(&self) -> Option<Duration> {
        let now = self.services.clock.monotonic();
        let keep_alive = self.settings.keep_alive;
        let mut idle = self.idle.lock();
        idle.end_until(now, keep_alive);
        let oldest = idle.links.first();
        let waited = oldest.map(|(_, since)| now.saturating_duration_since(*since));
        let left = waited.map(|waited| keep_alive.saturating_sub(waited));
        idle.is_watched = left.is_some();
        left
    }
}

/// Ends connections when they have waited long enough, for as long as there are some.
fn watch(
    server: Weak<Server>,
    services: Services,
    settings: &Settings,
) -> impl Future<Output = ()> + Send + use<> {
    let mut left = settings.keep_alive;
    async move {
        let mut stopping = services.background.stopping();
        loop {
            match select(services.background.sleep(left), stopping).await {
                Either::Left(((), still)) => stopping = still,
                Either::Right(_) => return,
            }
            match server.upgrade().and_then(|server| server.end_idle()) {
                Some(still) => left = still,
                None => return,
            }
        }
    }
}

impl Idle {
    fn end_until(&mut self, now: Instant, keep_alive: Duration) {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= keep_alive;
        self.links.retain(|(_, since)| !is_over(*since));
    }
}

impl Link {
    async fn bind(&mut self, entry: &str, password: &[u8]) -> Result<Answer, Unasked> {
        let id = self.next_id();
        let request = message::bind(id, entry, password)?;
        self.exchange(id, &request, BIND_RESPONSE).await
    }

    async fn start_tls(&mut self, tls: &TlsOptions) -> Result<(), Unasked> {
        let id = self.next_id();
        let request = message::start_tls(id)?;
        let answer = self.exchange(id, &request, EXTENDED_RESPONSE).await?;
        if !answer.is_success() {
            let Answer { code, text, .. } = answer;
            return Err(Unasked(format!("StartTLS is refused: {code} {text:?}")));
        }
        Ok(self.connection.start_tls(tls).await?)
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id % LAST_ID + 1;
        self.last_id
    }

    async fn exchange(
        &mut self,
        id: u32,
        request: &[u8],
        operation: u32,
    ) -> Result<Answer, Unasked> {
        self.connection.write(request).await?;
        let mut read = Vec::new();
        let (answer, length) = loop {
            let piece = self.connection.read(PIECE.min(LONGEST)).await?;
            if piece.is_empty() {
                return Err(Unasked("the connection has ended".to_owned()));
            }
            read.extend_from_slice(&piece);
            if let Some(answer) = message::parse_answer(&read)? {
                break answer;
            }
        };
        // Nothing may follow an answer: what does was put there by somebody else, before TLS begins above all.
        if answer.id != id || answer.operation != operation || length != read.len() {
            let Answer { code, text, .. } = answer;
            return Err(Unasked(format!(
                "not the answer asked for: {code} {text:?}"
            )));
        }
        Ok(answer)
    }
}

/// Why a server could not be asked.
struct Unasked(String);

impl From<NetworkError> for Unasked {
    fn from(error: NetworkError) -> Self {
        Self(error.to_string())
    }
}

impl From<Failure> for Unasked {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}
