//! Read your writes: a commit answers when the local proxy uses what it wrote.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schema::{Record, Schema};
use store::{Changes, Error, Key, Mutation, Page, PageRequest, Store, TagRow, Version};
use tokio::sync::watch;

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

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        self.inner.page(schema, request).await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        let version = self.inner.commit(mutations).await?;
        if !wait_until_applied(&self.applied, version, self.limit).await {
            tracing::warn!(
                version = version.0,
                "the proxy has not applied a change yet"
            );
        }
        Ok(version)
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

    async fn changed(&self, since: Version) {
        self.inner.changed(since).await;
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }
}

#[cfg(test)]
mod tests;
