//! Reading everything into a content beside the replica's.

use async_trait::async_trait;
use schema::{Record, Schema};
use store::Version;
use store::bulk::Sink;
use store::replica::Rebuild;

use crate::follower::{Follower, local, shared};
use crate::judge::Loss;
use crate::machine::Fault;

impl Follower {
    /// Copies one state of the shared store, and tells what it lacks that the replica has.
    pub(super) async fn copy(&mut self) -> Result<(Version, Option<Loss>), Fault> {
        // A copy that was not adopted is in the way of another.
        self.copy = None;
        let Some(replica) = &self.tools.replica else {
            return Err(Fault::Replica("there is no replica".to_owned()));
        };
        let before = replica.counts().await.map_err(local)?;
        let mut sink = Watched {
            rebuild: replica.rebuild().await.map_err(local)?,
            has_failed: false,
        };
        let schemas: Vec<_> = self.tools.catalog.parents_first().collect();
        let version = match self.tools.store.read_all(&schemas, &mut sink).await {
            Ok(version) => version,
            Err(error) if sink.has_failed => return Err(local(error)),
            Err(error) => return Err(shared(error)),
        };
        let loss = Loss::between(&before, &sink.rebuild.counts());
        self.copy = Some(sink.rebuild);
        Ok((version, loss))
    }

    /// Puts what was copied in the place of what there was.
    pub(super) async fn adopt(&mut self, version: Version) -> Result<(), Fault> {
        let Some(copy) = self.copy.take() else {
            return Err(Fault::Replica("nothing was copied".to_owned()));
        };
        let place = self.place(version).await;
        copy.finish(place).await.map_err(local)
    }
}

/// Tells a failure of the replica from one of the store that it is fed by.
struct Watched {
    rebuild: Box<dyn Rebuild>,
    has_failed: bool,
}

#[async_trait]
impl Sink for Watched {
    async fn take(
        &mut self,
        schema: &'static Schema,
        records: Vec<Record>,
    ) -> Result<(), store::Error> {
        let taken = self.rebuild.take(schema, records).await;
        self.has_failed |= taken.is_err();
        taken
    }
}
