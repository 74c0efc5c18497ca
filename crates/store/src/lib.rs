//! The store contract: one trait over (schema, record), implemented by siblings that never import each other.
//!
//! A store knows tables, keys, uniqueness, foreign keys and atomic commits; it never validates a record and never
//! fills in a default. [`repository`] puts the two together: prepare and validate by the schema, then commit.
//! [`catalog`] answers who points at whom, [`contract`] (a feature for tests) is the suite that every store passes.

pub mod bulk;
pub mod catalog;
#[cfg(feature = "contract")]
pub mod contract;
mod counters;
pub mod digest;
mod error;
pub mod offset;
mod packed;
pub mod peers;
pub mod replica;
pub mod repository;

use async_trait::async_trait;
use schema::{Record, Schema};
use uuid::Uuid;

pub use catalog::Catalog;
pub use counters::Counters;
pub use digest::{Digest, Digests};
pub use error::Error;
pub use packed::Packed;
pub use peers::{Peer, Peers, Word};
pub use replica::{Change, Replica};
pub use repository::Repository;

/// The workspace that every record belongs to; the id is Kong's for nodes without a database.
pub const DEFAULT_WORKSPACE: Uuid = Uuid::from_u128(0x0dc6_f45b_8f8d_40d2_a504_4735_44ee_190b);

/// The number of a committed change; it only grows. Zero is the store before its first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// How a record is named.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    Id(Uuid),
    /// A field that the schema declares unique, and its value.
    Unique(&'a str, &'a str),
    /// A field that is unique only among the records of one parent, such as the target of an upstream.
    Within {
        /// The foreign field and the id that it has to hold.
        foreign: (&'a str, Uuid),
        /// The field and its value; of several matches the one with the smallest id counts.
        field: (&'a str, &'a str),
    },
}

/// One page of a collection, ordered by id.
#[derive(Debug, Clone, Default)]
pub struct PageRequest<'a> {
    /// 1 to 1000; other values are brought into that range.
    pub size: usize,
    /// The opaque token of the page before.
    pub offset: Option<String>,
    /// Only records whose foreign field points at this id.
    pub foreign: Option<(&'a str, Uuid)>,
    /// Only records with all, or with any, of these tags.
    pub tags: Option<TagFilter>,
}

impl PageRequest<'_> {
    /// The largest page.
    pub const MAX_SIZE: usize = 1000;

    /// The size within its bounds.
    pub fn bounded_size(&self) -> usize {
        self.size.clamp(1, Self::MAX_SIZE)
    }
}

/// Which tags a record must carry; an empty list filters nothing.
#[derive(Debug, Clone)]
pub enum TagFilter {
    All(Vec<String>),
    Any(Vec<String>),
}

/// Some records of a collection, and where the next page starts.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// The token of the next page; `None` on the last one.
    pub offset: Option<String>,
}

/// One row of the `/tags` view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub entity_name: String,
    pub entity_id: Uuid,
    pub tag: String,
}

/// One write; a commit applies all of its mutations or none.
///
/// References are checked as the mutations go, so a parent comes before its children.
#[derive(Clone)]
pub enum Mutation<'a> {
    /// Fails if the id or a unique value is taken, or a foreign record is missing.
    Insert(&'a Schema, Record),
    /// Replaces an existing record; fails with `NotFound` if the id is gone.
    Update(&'a Schema, Record),
    /// Replaces a record if it still is what was read; fails with `Conflict` if it is not, `NotFound` if it is gone.
    Replace {
        schema: &'a Schema,
        /// The record as it was read.
        stored: Record,
        /// What it becomes; the id is the same.
        record: Record,
    },
    /// Inserts or replaces by id.
    Upsert(&'a Schema, Record),
    /// Deletes a record and whatever its declaration cascades to; fails if a record that does not cascade points at it.
    /// Deleting what is not there succeeds.
    Delete(&'a Schema, Uuid),
    /// Removes every record of the entity, children by declaration as in `Delete` (imports start so).
    Truncate(&'a Schema),
}

impl Mutation<'_> {
    /// The entity that it writes.
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Insert(schema, _)
            | Self::Update(schema, _)
            | Self::Replace { schema, .. }
            | Self::Upsert(schema, _)
            | Self::Delete(schema, _)
            | Self::Truncate(schema) => schema,
        }
    }
}

/// What happened to one record, in commit order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Grows from event to event; the last one of a commit is the commit's version.
    pub version: Version,
    /// The schema's name.
    pub entity: String,
    pub id: Uuid,
    pub operation: EventKind,
}

/// The three things that can happen to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Create,
    Update,
    Delete,
}

/// What a reader of the change feed gets.
#[derive(Debug, Clone)]
pub enum Changes {
    /// Everything after the version asked for, up to `until`.
    Events { until: Version, events: Vec<Event> },
    /// The log does not reach back that far: reload everything, then go on from `from`.
    Reload { from: Version },
}

/// A database of records.
#[async_trait]
pub trait Store: Send + Sync {
    /// `sqlite`, `postgres`, `cassandra` or `off`.
    fn kind(&self) -> &'static str;

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error>;

    /// The records with these ids, in any order; an id without a record is left out.
    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.get(schema, Key::Id(*id)).await?);
        }
        Ok(found)
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error>;

    /// Applies all or nothing; once it returns, a crash loses none of it.
    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error>;

    /// Pages through all tags, or the entities that carry one, ordered by entity id.
    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error>;

    /// The newest committed version.
    async fn version(&self) -> Result<Version, Error>;

    /// Events after `since`.
    async fn changes(&self, since: Version) -> Result<Changes, Error>;

    /// A number that tells a version from the same version in another history of the database, such as one that was
    /// restored; `None` if the log no longer has the version, or the store does not tell histories apart.
    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        let _ = version;
        Ok(None)
    }

    /// Resolves when something newer than `since` may have been committed (by anyone); may resolve early.
    async fn changed(&self, since: Version);

    /// Whether the database answers, for `/status`.
    async fn ping(&self) -> Result<(), Error>;

    /// The digests of some collections, all of them as they were at the version beside them.
    ///
    /// # Errors
    /// `Conflict` if writes came too fast to read one state.
    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        digest::by_pages(self, schemas).await
    }

    /// Reads all records of some entities as they are at one version, which is the answer; others may write meanwhile.
    ///
    /// # Errors
    /// Those of the sink, and `Conflict` if somebody wrote and the store cannot read one state in spite of it; the sink
    /// may have been given records by then.
    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn bulk::Sink,
    ) -> Result<Version, Error> {
        bulk::read_by_pages(self, schemas, sink).await
    }

    /// Makes what the source gives the whole content of some entities, given parents first, in one commit.
    ///
    /// # Errors
    /// Those of the source and of a commit; then nothing has changed.
    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn bulk::Source,
    ) -> Result<Version, Error> {
        bulk::replace_at_once(self, schemas, source).await
    }

    /// The register of the nodes that share the database; `None` for a store that one process has for itself.
    fn peers(&self) -> Option<&dyn Peers> {
        None
    }

    /// The counters that rate limits keep in the database; `None` for a store that keeps none.
    fn counters(&self) -> Option<&dyn Counters> {
        None
    }
}
