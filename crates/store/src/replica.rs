//! A node's own copy of the shared store: what a replica has to be able to do besides answering reads.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schema::{Record, Schema};
use uuid::Uuid;

use crate::bulk::Sink;
use crate::{Error, Store, Version};

/// One record as the shared store has it now.
#[derive(Debug, Clone)]
pub struct Change {
    pub schema: &'static Schema,
    pub id: Uuid,
    /// `None` if it is gone.
    pub record: Option<Record>,
}

/// Where a copy stands in the history of the shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub version: Version,
    /// What [`Store::mark`] said of that version.
    pub mark: Option<i64>,
}

/// How many records there are of each entity, by schema name.
pub type Counts = BTreeMap<String, u64>;

/// A copy of everything that a shared store has, on this machine.
///
/// As a [`Store`] it answers reads and refuses writes with `Unavailable`; its version is that of its place.
#[async_trait]
pub trait Replica: Store {
    /// Where the content stands; `None` while there is none.
    fn place(&self) -> Option<Place>;

    /// Whether the content was copied from a store that the settings named otherwise than now.
    fn is_moved(&self) -> bool;

    /// Whether every entity that is declared now was declared when the content was copied.
    fn is_whole(&self) -> bool;

    /// Writes changed records and the place that they lead to, all or nothing.
    async fn apply(&self, changes: &[Change], to: Place) -> Result<(), Error>;

    /// Begins to replace everything; what was there stays, and is what reads see, until [`Rebuild::finish`].
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, Error>;

    /// The checksums (see [`crate::digest::checksum`]) of up to `limit` records after an id, in the order of their ids.
    async fn checksums(
        &self,
        schema: &Schema,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, u64)>, Error>;

    /// How many records there are.
    async fn counts(&self) -> Result<Counts, Error>;
}

/// A new content that is not in use yet; dropping it forgets it.
#[async_trait]
pub trait Rebuild: Sink + Sync {
    /// How many records it has.
    fn counts(&self) -> Counts;

    /// Puts it in the place of the old content.
    async fn finish(self: Box<Self>, place: Place) -> Result<(), Error>;
}
