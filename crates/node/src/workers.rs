//! The workers of a node: how many there are, and what they accept from.

use std::sync::Arc;
use std::time::Duration;

use net::listen::{ListenAddress, ListenSpec, ListenerSet};
use proxy::{Shared, Worker, WorkerConfig};

use crate::Error;

/// Long enough for every request that was meant to end.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How often workers that finish are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// All workers with their sockets.
pub struct Workers {
    shared: Arc<Shared>,
    /// None once the node finishes.
    sockets: Option<ListenerSet>,
    workers: Vec<Worker>,
    /// Workers that a reload made superfluous, with connections that are still open.
    leaving: Vec<Worker>,
}

/// Sockets for other settings, bound but not in use.
pub struct Prepared {
    sockets: ListenerSet,
    count: usize,
}

impl Workers {
    /// Binds the listeners and starts `count` workers on them.
    pub fn start(count: usize, specs: &[ListenSpec], shared: Arc<Shared>) -> Result<Self, Error> {
        let sockets = bind(specs, count, None)?;
        let mut workers = Self {
            shared,
            sockets: None,
            workers: Vec::with_capacity(count),
            leaving: Vec::new(),
        };
        workers.switch(Prepared { sockets, count })?;
        Ok(workers)
    }

    /// Binds other listeners beside those in use; those at the same address keep their sockets.
    pub fn prepare(&self, count: usize, specs: &[ListenSpec]) -> Result<Prepared, Error> {
        let sockets = bind(specs, count, self.sockets.as_ref())?;
        Ok(Prepared { sockets, count })
    }

    /// Accepts from what was prepared, and from nothing else. Connections that are open go on.
    pub fn switch(&mut self, prepared: Prepared) -> Result<(), Error> {
        let Prepared { sockets, count } = prepared;
        for index in 0..count {
            let listeners = sockets.for_worker(index)?;
            match self.workers.get(index) {
                Some(worker) => worker.replace_listeners(listeners),
                None => self.workers.push(self.spawn(index, listeners)?),
            }
        }
        for worker in self.workers.drain(count.min(self.workers.len())..) {
            worker.retire();
            self.leaving.push(worker);
        }
        self.leaving.retain(|worker| !worker.is_finished());
        self.sockets = Some(sockets);
        Ok(())
    }

    fn spawn(
        &self,
        index: usize,
        listeners: Vec<net::listen::WorkerListener>,
    ) -> Result<Worker, Error> {
        let config = WorkerConfig {
            index,
            shared: Arc::clone(&self.shared),
            listeners,
        };
        Worker::spawn(config).map_err(|source| Error::System {
            what: "cannot start a worker",
            source,
        })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<(ListenSpec, ListenAddress)> {
        self.sockets
            .as_ref()
            .map(ListenerSet::addresses)
            .unwrap_or_default()
    }

    /// Accepts nothing more, and returns when every request in flight is answered. Dropping the future changes nothing.
    pub async fn finish(&mut self) {
        self.sockets = None;
        for worker in self.workers.iter().chain(&self.leaving) {
            worker.drain(PATIENCE);
        }
        let mut look = tokio::time::interval(LOOK);
        while !self
            .workers
            .iter()
            .chain(&self.leaving)
            .all(Worker::is_finished)
        {
            look.tick().await;
        }
    }

    /// Ends all workers, whatever they do.
    pub async fn stop(mut self) {
        self.sockets = None;
        for worker in self.workers.iter().chain(&self.leaving) {
            worker.stop();
        }
        self.join().await;
    }

    async fn join(&mut self) {
        let workers: Vec<Worker> = self
            .workers
            .drain(..)
            .chain(self.leaving.drain(..))
            .collect();
        let joined = tokio::task::spawn_blocking(|| workers.into_iter().for_each(Worker::join));
        if joined.await.is_err() {
            tracing::error!("waiting for the workers failed");
        }
    }
}

fn bind(
    specs: &[ListenSpec],
    count: usize,
    before: Option<&ListenerSet>,
) -> Result<ListenerSet, Error> {
    ListenerSet::bind(specs, count, before).map_err(|source| Error::Listen {
        setting: "proxy_listen",
        source,
    })
}
