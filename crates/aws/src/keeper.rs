//! Credentials that are kept while they last.
//!
//! Whoever needs some at the same time waits for one fetch. Before they end they are fetched anew beside the requests,
//! which go on with the ones that there are.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use parking_lot::Mutex;
use plugin_api::{Background, BoxFuture, Services};
use stdx::Clock;

use super::Credentials;

/// How long before their end, in seconds, credentials are fetched anew.
const EARLY: i64 = 300;
/// How long before their end they count as ended.
const LATE: i64 = 15;
/// How long nothing is fetched after a fetch, while there are credentials.
const CALM: Duration = Duration::from_secs(30);
/// The same while there are none.
const HURRY: Duration = Duration::from_secs(1);

/// Credentials, or why there are none.
pub type Fetched = Result<Arc<Credentials>, Arc<str>>;

/// Where credentials come from.
pub trait Source: Send + Sync + 'static {
    /// Asks for new ones.
    fn fetch(&self) -> BoxFuture<Result<Credentials, String>>;
}

/// Credentials that somebody has written down.
impl Source for Credentials {
    fn fetch(&self) -> BoxFuture<Result<Credentials, String>> {
        Box::pin(ready(Ok(self.clone())))
    }
}

/// Keeps the credentials of one source.
pub struct Keeper {
    source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    background: Arc<dyn Background>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Credentials>>,
    fetching: Option<Shared<BoxFuture<Fetched>>>,
    /// When the last fetch ended.
    fetched: Option<Instant>,
    /// Why it failed, if it did.
    failure: Option<Arc<str>>,
}

impl Keeper {
    pub fn new(source: impl Source, services: &Services) -> Self {
        Self {
            source: Box::new(source),
            clock: services.clock.clone(),
            background: services.background.clone(),
            state: Mutex::default(),
        }
    }

    /// Credentials that have not ended.
    ///
    /// # Errors
    /// With the reason why there are none.
    pub async fn get(self: &Arc<Self>) -> Fetched {
        let fetching = {
            let mut state = self.state.lock();
            let now = self.clock.unix_seconds();
            let known = state.known.clone().filter(|known| known.lasts(now));
            let is_fresh = known.as_ref().is_some_and(|known| known.is_fresh(now));
            let pause = if known.is_some() { CALM } else { HURRY };
            let is_due = state
                .fetched
                .is_none_or(|at| self.clock.monotonic().saturating_duration_since(at) >= pause);
            if !is_fresh && is_due && state.fetching.is_none() {
                state.fetching = Some(self.begin());
            }
            match (known, &state.fetching) {
                (Some(known), _) => return Ok(known),
                (None, Some(fetching)) => fetching.clone(),
                (None, None) => {
                    let reason = state.failure.clone();
                    return Err(reason.unwrap_or_else(|| "the credentials have ended".into()));
                }
            }
        };
        fetching.await
    }

    /// A fetch that goes on also when nobody waits for it any more.
    fn begin(self: &Arc<Self>) -> Shared<BoxFuture<Fetched>> {
        let keeper = self.clone();
        let fetch: BoxFuture<Fetched> = Box::pin(async move {
            let fetched = keeper.source.fetch().await;
            keeper.note(fetched)
        });
        let fetch = fetch.shared();
        self.background.spawn(Box::pin(fetch.clone().map(drop)));
        fetch
    }

    fn note(&self, fetched: Result<Credentials, String>) -> Fetched {
        let mut state = self.state.lock();
        state.fetching = None;
        state.fetched = Some(self.clock.monotonic());
        match fetched {
            Ok(credentials) => {
                let credentials = Arc::new(credentials);
                state.known = Some(credentials.clone());
                state.failure = None;
                Ok(credentials)
            }
            Err(reason) => {
                tracing::warn!("credentials of AWS are out of reach: {reason}");
                let reason: Arc<str> = reason.into();
                state.failure = Some(reason.clone());
                Err(reason)
            }
        }
    }
}

impl Credentials {
    fn lasts(&self, now: i64) -> bool {
        self.expires.is_none_or(|end| end - now > LATE)
    }

    fn is_fresh(&self, now: i64) -> bool {
        self.expires.is_none_or(|end| end - now > EARLY) && self.renew.is_none_or(|at| now < at)
    }
}
