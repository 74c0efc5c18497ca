//! The shared store as long as it answers, the replica for reading while it does not.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{
    Changes, Digests, Error, Key, Mutation, Page, PageRequest, Peers, Replica, Store, TagRow,
    Version,
};
use uuid::Uuid;

use crate::link::Link;

tokio::task_local! {
    /// Since when what this task read may be out of date, if any of it came from a replica.
    static STALE: Cell<Option<SystemTime>>;
}

/// Runs something that reads from a [`FailoverStore`], and tells since when what it read may be out of date; `None` if
/// the shared store answered everything. What it reads in other tasks does not count.
pub async fn observe_staleness<F: Future>(reading: F) -> (F::Output, Option<SystemTime>) {
    let observed = async {
        let output = reading.await;
        (output, STALE.with(Cell::get))
    };
    STALE.scope(Cell::new(None), observed).await
}

fn note_staleness(since: SystemTime) {
    // Without a scope, nobody wants to know.
    let _ = STALE.try_with(|stale| stale.set(Some(since)));
}

/// A store that goes on answering reads, from a replica, while the shared one is out of reach.
pub struct FailoverStore {
    shared: Arc<dyn Store>,
    replica: Arc<dyn Replica>,
    link: Arc<Link>,
    /// How long a read waits for the shared store when the replica can answer it.
    patience: Duration,
}

impl FailoverStore {
    pub(crate) fn new(
        shared: Arc<dyn Store>,
        replica: Arc<dyn Replica>,
        link: Arc<Link>,
        patience: Duration,
    ) -> Self {
        Self {
            shared,
            replica,
            link,
            patience,
        }
    }

    /// Waits for the shared store, for less long if there is somebody else to ask.
    async fn in_time<T>(&self, shared: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.replica.place().is_none() {
            return shared.await;
        }
        let answer = tokio::time::timeout(self.patience, shared).await;
        answer.unwrap_or_else(|_| Err(Error::Unavailable("it does not answer in time".to_owned())))
    }

    /// Asks the shared store unless it is known to be out of reach, then the replica if it has anything.
    async fn read<T>(
        &self,
        shared: impl Future<Output = Result<T, Error>>,
        replica: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let error = match self.link.is_down() {
            true => self.out_of_reach(),
            false => match self.in_time(shared).await {
                Err(error) if error.is_outage() => {
                    self.link.prod();
                    error
                }
                answer => return answer,
            },
        };
        if self.replica.place().is_none() {
            return Err(error);
        }
        let answer = replica.await;
        note_staleness(self.link.answered_at());
        answer
    }

    fn out_of_reach(&self) -> Error {
        match self.link.contact() {
            crate::Contact::Down { reason, .. } => Error::Unavailable(reason),
            _ => Error::Unavailable("the database has not answered yet".to_owned()),
        }
    }

    /// Asks the shared store alone; while it is known to be out of reach, the answer comes at once.
    async fn shared_only<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.link.is_down() {
            return Err(self.out_of_reach());
        }
        let answer = call.await;
        if answer.as_ref().is_err_and(Error::is_outage) {
            self.link.prod();
        }
        answer
    }
}

#[async_trait]
impl Store for FailoverStore {
    fn kind(&self) -> &'static str {
        self.shared.kind()
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        self.read(self.shared.get(schema, key), self.replica.get(schema, key))
            .await
    }

    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        self.read(
            self.shared.get_many(schema, ids),
            self.replica.get_many(schema, ids),
        )
        .await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        self.read(
            self.shared.page(schema, request),
            self.replica.page(schema, request),
        )
        .await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        self.shared_only(self.shared.commit(mutations)).await
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.read(
            self.shared.tags(tag, request),
            self.replica.tags(tag, request),
        )
        .await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.read(self.shared.version(), self.replica.version())
            .await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.shared_only(self.shared.changes(since)).await
    }

    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        self.shared_only(self.shared.mark(version)).await
    }

    async fn changed(&self, since: Version) {
        self.shared.changed(since).await;
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared.ping().await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        self.shared_only(self.shared.digests(schemas)).await
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        self.shared_only(self.shared.read_all(schemas, sink)).await
    }

    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn Source,
    ) -> Result<Version, Error> {
        self.shared_only(self.shared.replace_all(schemas, source))
            .await
    }

    fn peers(&self) -> Option<&dyn Peers> {
        self.shared.peers()
    }
}

/// A store for looking up what belongs to the configuration that is served: the replica, which is on this machine and
/// never older than that, or what stands behind it while the replica cannot be written.
///
/// Perf: a look-up costs no round trip and no query of the database, and none waits for one that hangs.
pub struct LocalStore {
    behind: Arc<dyn Store>,
    replica: Arc<dyn Replica>,
    link: Arc<Link>,
}

impl LocalStore {
    pub(crate) fn new(behind: Arc<dyn Store>, replica: Arc<dyn Replica>, link: Arc<Link>) -> Self {
        Self {
            behind,
            replica,
            link,
        }
    }

    fn store(&self) -> &dyn Store {
        match self.link.is_copy_current() {
            true => &*self.replica,
            false => &*self.behind,
        }
    }
}

#[async_trait]
impl Store for LocalStore {
    fn kind(&self) -> &'static str {
        self.behind.kind()
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        self.store().get(schema, key).await
    }

    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        self.store().get_many(schema, ids).await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        self.store().page(schema, request).await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        self.behind.commit(mutations).await
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.store().tags(tag, request).await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.store().version().await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.behind.changes(since).await
    }

    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        self.behind.mark(version).await
    }

    async fn changed(&self, since: Version) {
        self.behind.changed(since).await;
    }

    async fn ping(&self) -> Result<(), Error> {
        self.store().ping().await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        self.behind.digests(schemas).await
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        self.behind.read_all(schemas, sink).await
    }

    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn Source,
    ) -> Result<Version, Error> {
        self.behind.replace_all(schemas, source).await
    }

    fn peers(&self) -> Option<&dyn Peers> {
        self.behind.peers()
    }
}

#[cfg(test)]
mod tests;
