//! The counters of the store, as plugins ask for them: on the control side, and behind a guard.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use plugin_api::{BoxFuture, Counters, Unavailable};
use services::{Guard, Probe};
use stdx::counting::{Subject, Taken, Window};
use store::{Error, Store};
use tokio::runtime::Handle;

/// How long an answer may take; the store gives up earlier if it is told to.
const LIMIT: Duration = Duration::from_secs(10);

/// Counters of a store that is opened after the plugins are there.
#[derive(Default)]
pub struct StoreCounters(OnceLock<Open>);

struct Open {
    store: Arc<dyn Store>,
    guard: Guard,
}

impl StoreCounters {
    /// Lets plugins count in a store. It is opened once; a second time changes nothing.
    pub fn open(&self, store: Arc<dyn Store>) {
        let guard = guard("the database with the counters", &store);
        let _ = self.0.set(Open { store, guard });
    }

    fn ask<T, W>(&self, work: impl FnOnce(Arc<dyn Store>) -> W) -> BoxFuture<Result<T, Unavailable>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let Some(open) = self.0.get() else {
            let error = Unavailable("the store is not open yet".to_owned());
            return Box::pin(std::future::ready(Err(error)));
        };
        let work = work(open.store.clone());
        let asked = open.guard.ask(LIMIT, async move {
            match work.await {
                Ok(answer) => Ok(Ok(answer)),
                Err(Error::Unavailable(reason)) => Err(reason),
                Err(error) if error.is_outage() => Err(error.to_string()),
                Err(error) => Ok(Err(error.to_string())),
            }
        });
        Box::pin(async move { asked.await.and_then(|answer| answer).map_err(Unavailable) })
    }
}

/// Stands before a store that plugins ask.
pub fn guard(name: &str, store: &Arc<dyn Store>) -> Guard {
    let probed = store.clone();
    let probe: Probe = Box::new(move || {
        let probed = probed.clone();
        Box::pin(async move { probed.ping().await.map_err(|error| error.to_string()) })
    });
    Guard::new(name.to_owned(), Handle::current(), probe)
}

fn no_counters() -> Error {
    Error::Database("this store keeps no counters".to_owned())
}

impl Counters for StoreCounters {
    fn take(
        &self,
        subject: Subject,
        windows: Vec<Window>,
    ) -> BoxFuture<Result<Taken, Unavailable>> {
        self.ask(|store| async move {
            let counters = store.counters().ok_or_else(no_counters)?;
            counters.take(&subject, &windows).await
        })
    }

    fn add_usage(
        &self,
        subject: Subject,
        windows: Vec<Window>,
        amount: i64,
    ) -> BoxFuture<Result<(), Unavailable>> {
        self.ask(move |store| async move {
            let counters = store.counters().ok_or_else(no_counters)?;
            counters.add_usage(&subject, &windows, amount).await
        })
    }

    fn usage(
        &self,
        subject: Subject,
        windows: Vec<Window>,
    ) -> BoxFuture<Result<Vec<f64>, Unavailable>> {
        self.ask(|store| async move {
            let counters = store.counters().ok_or_else(no_counters)?;
            counters.usage(&subject, &windows).await
        })
    }
}
