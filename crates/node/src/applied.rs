//! Read your writes: a commit answers when the local proxy uses what it wrote.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{
    Changes, Digests, Error, Key, Mutation, Page, PageRequest, Peers, Store, TagRow, Version,
};
use tokio::sync::watch;
use uuid::Uuid;

/// A store whose commits wait, for at most a while, until the data plane has applied them.
///
/// The write is durable whether the wait succeeds or not; what is slow is the local proxy, and it catches up.
pub struct AppliedStore {
    inner: Arc<dyn Store>,
    applied: watch::Receiver<Version>,
    limit: Duration,
}

impl AppliedStore {
    /// Wraps a store; `applied` says which version the proxy uses.
    pub fn new(inner: Arc<dyn Store>, applied: watch::Receiver<Version>, limit: Duration) -> Self {
        Self {
            inner,
            applied,
            limit,
        }
    }

    async fn applied(&self, version: Version) -> Version {
        if !wait_until_applied(&self.applied, version, self.limit).await {
            tracing::warn!(
                version = version.0,
                "the proxy has not applied a change yet"
            );
        }
        version
    }
}

/// Waits until `version` is applied, for at most `limit`; says whether it is.
pub async fn wait_until_applied(
    applied: &watch::Receiver<Version>,
    version: Version,
    limit: Duration,
) -> bool {
    let mut applied = applied.clone();
    let reached = applied.wait_for(|reached| *reached >= version);
    matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
}

#[async_trait]
impl Store for AppliedStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        self.inner.get(schema, key).await
    }

    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        self.inner.get_many(schema, ids).await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        self.inner.page(schema, request).await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        let version = self.inner.commit(mutations).await?;
        Ok(self.applied(version).await)
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        self.inner.tags(tag, request).await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.inner.version().await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        self.inner.changes(since).await
    }

    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        self.inner.mark(version).await
    }

    async fn changed(&self, since: Version) {
        self.inner.changed(since).await;
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        self.inner.digests(schemas).await
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        self.inner.read_all(schemas, sink).await
    }

    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn Source,
    ) -> Result<Version, Error> {
        let version = self.inner.replace_all(schemas, source).await?;
        Ok(self.applied(version).await)
    }

    fn peers(&self) -> Option<&dyn Peers> {
        self.inner.peers()
    }
}

#[cfg(test)]
mod tests;
