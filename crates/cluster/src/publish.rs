//! Who takes configurations: the data plane, as the follower sees it.

use std::sync::Arc;

use async_trait::async_trait;
use store::{Change, Store, Version};

use crate::Error;

/// Takes configurations, whole ones and changes. When a call returns, requests that begin later are served by it.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Whether records of this entity matter to it; changes of others are not read for its sake.
    fn wants(&self, entity: &str) -> bool;

    /// Replaces everything by what `source` holds, as `at_least` this version; answers with the version it has now.
    ///
    /// # Errors
    /// Whatever went wrong; then what was published before is still published.
    async fn load(&self, source: &dyn Store, at_least: Version) -> Result<Version, Error>;

    /// Takes changed records, which lead to the version `until`. It may be called again with the same ones, and with
    /// the version that is published already, when records are healed.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    async fn apply(&self, changes: Arc<Vec<Change>>, until: Version) -> Result<(), Error>;
}
